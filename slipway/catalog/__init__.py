"""`slipway catalog`: shows the accelerator catalogue, and renews its data."""
