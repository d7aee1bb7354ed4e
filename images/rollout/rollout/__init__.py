"""Shifts a model's traffic to a new revision in steps, or back, by counted evidence."""
