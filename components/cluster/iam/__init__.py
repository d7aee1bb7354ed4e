"""Roles and policies, and the names and tags that they refer to."""
