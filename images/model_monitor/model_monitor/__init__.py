"""The model monitor: quality, drift and fairness of models from their logs."""
