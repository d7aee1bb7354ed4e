"""Batch jobs in a cluster: distributed training without an operator."""
