"""The operator's command: `slipway up|preview|refresh|destroy|render|images ...`."""
