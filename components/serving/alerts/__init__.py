"""Recording rules and alerts of a model server."""
