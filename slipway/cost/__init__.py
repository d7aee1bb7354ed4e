"""`slipway cost`: what a cluster's settings may cost, floor and ceiling."""
