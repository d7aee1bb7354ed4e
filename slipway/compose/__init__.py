"""Models on one machine with Docker Compose, from the same stacks as on a cluster.

A stack is rendered as `slipway render` does it, and what the cluster would be given is
translated: so images, settings, routes and rules are the same by construction. What
cannot be translated is refused or told, never left out in silence.
"""
