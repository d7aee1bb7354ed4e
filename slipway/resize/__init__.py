"""Sizes of running replicas, changed in place."""
