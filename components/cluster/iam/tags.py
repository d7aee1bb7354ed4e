"""Tags of every AWS resource of a cluster."""

from __future__ import annotations

CLUSTER_TAG = "slipway.dev/cluster"
"""The owner of a resource: policies require it, and destroy lists leftovers by it."""


def tags(cluster: str, name: str) -> dict[str, str]:
    """The tags of one resource; the stack's own are the provider's default tags."""
    return {"Name": name, CLUSTER_TAG: cluster}
