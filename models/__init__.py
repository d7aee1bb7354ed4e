"""Models that this repository trains: one package each, beside its settings."""
