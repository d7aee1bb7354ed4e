"""The cluster that a stack works on, as its API server answers."""
