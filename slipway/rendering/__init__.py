"""A stack's program run without the engine: what it registers, as manifests."""
