"""Counts of predictions by day, model, revision and arm: the basis of all results."""
