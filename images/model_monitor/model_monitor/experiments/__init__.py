"""A/B experiments: what the log says of two revisions that share a model's callers."""
