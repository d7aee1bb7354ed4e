"""The cluster of a stack: from its state, or from its file if the state is empty."""

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
"""Settings for the first fields of a Target."""
State = Iterable[dict[str, Any]]
"""Resources in the form of the engine's state."""


@dataclass(frozen=True)
class Target:
    """The cluster to drain."""

    name: str
    """Name of the EKS cluster, which tags contain."""
    account: str
    region: str
    endpoint: str = ""
    """Address of the API server; empty without a control plane."""
    authority: str = ""
    """PEM, base64."""
    vpc: str = ""


def find(stack: str, resources: State) -> Target | None:
    """Return the target of the stack; None if it cannot be determined."""
    return of_state(resources) or of_file(stack)


def of_state(resources: State) -> Target | None:
    """Return the cluster from the engine's state."""
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
    """Return the cluster from the stack's file, after the cluster itself is gone.

    Its settings are not checked: a destroy has to work with rejected settings.
    """
    try:
        given = config.unchecked(stack)
    except (files.StackFileError, SettingsError):
        return None
    values = [_text(given, *path) for path in OF_FILE]
    return Target(*values) if all(values) else None


def _text(given: Any, *path: str) -> str:
    """Return plain text, or a number as text; otherwise an empty text."""
    for name in path:
        given = given.get(name) if isinstance(given, Mapping) else None
    return str(given) if isinstance(given, str | int) else ""
