"""Attributions: samples for the job that calculates them, and the results."""
