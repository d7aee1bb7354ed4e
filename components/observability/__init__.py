"""Prometheus, Alertmanager, the recorder of alerts, and the platform's own alerts."""
