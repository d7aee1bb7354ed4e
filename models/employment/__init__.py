"""Whether a person is employed, from a public census: training and its settings."""
