"""Metrics and verdicts, calculated from counts, and the results that others read."""
