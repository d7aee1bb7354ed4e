"""The platform of all models in any cluster: names, metrics, a gateway."""
