"""Figures with decisions, made from counts, and the results that others read."""
