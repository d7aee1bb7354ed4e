"""The cluster that a stack made: from its state, or from its file if that is empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.settings import SettingsError
from stacks import config, files

CLUSTER, VPC, PROVIDER = (
    "aws:eks/cluster:Cluster",
    "aws:ec2/vpc:Vpc",
    "pulumi:providers:aws",
)
OF_FILE = (("cluster", "name"), ("account", "id"), ("account", "region"))
"""Settings that say what the first fields of a Target say."""
State = Iterable[dict[str, Any]]
"""Resources as the engine's state has them."""


@dataclass(frozen=True)
class Target:
    """What is to be emptied."""

    name: str
    """Name of the EKS cluster; tags have it."""
    account: str
    region: str
    endpoint: str = ""
    """Of the API server; empty: there is no control plane (any more)."""
    authority: str = ""
    """PEM, base64."""
    vpc: str = ""


def find(stack: str, resources: State) -> Target | None:
    """The target of the stack; None where nothing says which it is."""
    return of_state(resources) or of_file(stack)


def of_state(resources: State) -> Target | None:
    """The cluster that the engine remembers."""
    by_type = {one["type"]: one.get("outputs") or {} for one in resources}
    cluster = by_type.get(CLUSTER)
    if not cluster or not cluster.get("arn"):
        return None
    _, _, _, region, account, _ = str(cluster["arn"]).split(":", 5)
    authorities = cluster.get("certificateAuthority") or {}
    return Target(
        name=str(cluster["name"]),
        account=account,
        region=region,
        endpoint=str(cluster.get("endpoint") or ""),
        authority=str(authorities.get("data") or ""),
        vpc=str(by_type.get(VPC, {}).get("id") or ""),
    )


def of_file(stack: str) -> Target | None:
    """What the stack's file says, for runs after the cluster itself is gone.

    Its settings are not checked: a destroy has to work with those that are refused.
    """
    try:
        given = config.unchecked(stack)
    except (files.StackFileError, SettingsError):
        return None
    values = [_text(given, *path) for path in OF_FILE]
    return Target(*values) if all(values) else None


def _text(given: Any, *path: str) -> str:
    """What stands there in plain text or as a number; empty if it is neither."""
    for name in path:
        given = given.get(name) if isinstance(given, Mapping) else None
    return str(given) if isinstance(given, str | int) else ""
