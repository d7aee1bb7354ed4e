"""`slipway replay`: sends the requests of a prediction log to a new revision."""
