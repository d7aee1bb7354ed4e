"""What runs: the Deployment, its volumes and environment, scaling, network policy."""
