"""Measurements of running models: `slipway bench`."""
