"""Grafana dashboards, one module each, and the ConfigMaps that Grafana reads them from.

A dashboard is plain data (`board`), so that tests and commands read its queries without
Grafana's SDK, which `drawing` loads when JSON is asked for.

Those about the whole cluster (fleet, GPUs, cost) belong to the platform stack, which
knows the limits of the platform's alerts and whether there are GPUs and prices. Those
about models belong to the models stack, one set for its namespace: their thresholds are
the limits of that stack's alerts, which no metric contains.
"""
