"""Enforces a node's NetworkPolicies by nftables: by `nft`, which it runs.

objects     what of Pods, Namespaces and NetworkPolicies matters
compiler    these objects -> the rules of one node
rules       the rules as data, and what they say to one packet
nft_text    the rules -> a table of nftables
nft         applies a table, asks whether it stands, removes it
state       the objects as last seen, followed by pod_parts.api_client
agent       the loop: seen, compiled, applied, verified
metrics     counters and gauges for Prometheus
web         readiness, liveness and metrics
"""
