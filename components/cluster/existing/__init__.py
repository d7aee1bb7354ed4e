"""An existing cluster: its kubeconfig, or the outputs of what created it."""
