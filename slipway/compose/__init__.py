"""Models on one machine with Docker Compose, from the same stacks as on a cluster.

A stack is rendered as `slipway render` does it, and its objects are translated: so
images, settings, routes and rules are the same by construction. What cannot be
translated is rejected or reported, never omitted silently.
"""
