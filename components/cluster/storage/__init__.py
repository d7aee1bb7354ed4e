"""Buckets, registries and encryption keys."""
