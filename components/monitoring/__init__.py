"""The model monitor: quality, drift and fairness of served models, and its alerts."""
