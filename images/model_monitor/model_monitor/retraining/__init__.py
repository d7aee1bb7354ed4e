"""Requests to retrain a model: written with their evidence, and sent to a webhook."""
