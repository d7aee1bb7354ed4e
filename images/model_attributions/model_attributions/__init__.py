"""Permutation attributions of a day's predictions, as a job beside the monitor."""
