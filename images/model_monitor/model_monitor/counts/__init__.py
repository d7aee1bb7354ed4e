"""Counts of predictions by day, model, revision and arm: all that figures need."""
