"""The pods: Deployment, volumes and environment, scaling, network policy."""
