"""Batch work in a cluster: distributed training, without an operator installed."""
