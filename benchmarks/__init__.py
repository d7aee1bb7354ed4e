"""Measurements: ratios between servers of the same model, taken in one run."""
