"""A destroy that finishes: what controllers made goes first, what is left is listed."""
