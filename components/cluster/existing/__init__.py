"""A cluster that exists: its kubeconfig, or the outputs of who made it."""
