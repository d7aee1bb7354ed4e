"""`slipway replay`: a new revision is asked what the prediction log has been asked."""
