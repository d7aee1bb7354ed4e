"""The cluster that a stack uses, through its API server."""
