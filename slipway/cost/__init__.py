"""`slipway cost`: the minimum and maximum cost of a cluster's settings."""
