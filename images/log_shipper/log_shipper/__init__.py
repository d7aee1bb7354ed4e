"""Sends finished files of the prediction log to the store, beside a model server."""
