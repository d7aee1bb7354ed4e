"""What every model needs in any cluster: names, metrics, a gateway."""
