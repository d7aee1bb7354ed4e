"""Audit chains, verified outside of the cluster that wrote them."""
