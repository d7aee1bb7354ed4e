"""Differences between a cluster or account and the engine's state."""
