"""Three census years replayed against a served model, and judged by the model monitor.

Everything is real but the clock: real rows, answers of the served model, the monitor's
own program, the rules of `components/monitoring/alerts.py` evaluated by Prometheus.
docs/how-to/demo-drift.md shows a run.
"""
