"""Scales idle model servers to zero, and back up for new requests."""
