"""Hardening of workloads, in one place for all components."""
