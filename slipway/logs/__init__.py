"""The logs of a model's pods, and of one request by its id."""
