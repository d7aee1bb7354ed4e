"""A release: what is built of a checkout, listed, summed and signed."""
