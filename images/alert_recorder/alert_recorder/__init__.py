"""Keeps the alerts that Alertmanager sends, so that a person or a test can read them.

POST /alerts   Alertmanager's webhook, version 4: each alert in it becomes one record
GET  /alerts   the last records, oldest first; ?name= and ?status= select
GET  /healthz  200 while it serves
GET  /metrics  counters for Prometheus
"""
