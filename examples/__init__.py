"""Runs of the whole system that a person starts to see it work."""
