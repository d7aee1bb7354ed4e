"""Faster forms of a model, each held to a gate before it becomes a revision."""
