"""Checks of add-on values that other calculations and settings depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.settings import Problem

ENFORCING_MODE = "NETWORK_POLICY_ENFORCING_MODE"
"""Environment variable of the container aws-node.
https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy-configure.html"""
PREFIX_DELEGATION = "ENABLE_PREFIX_DELEGATION"
_CNI = "addons.vpc-cni.configuration"


def problems(addons: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Report problems of the configurations, by add-on; paths are the cluster's."""
    cni = addons.get("vpc-cni", {})
    environment = _part(cni, "env")
    delegates = environment.get(PREFIX_DELEGATION, "true")
    if str(delegates).lower() != "true":
        yield Problem(
            f"{_CNI}.env.{PREFIX_DELEGATION}",
            delegates,
            "nodes would have addresses for a tenth of their max_pods, and the pods "
            "beyond them would never start",
            "remove it",
        )
    if ENFORCING_MODE in environment:
        yield Problem(
            f"{_CNI}.env.{ENFORCING_MODE}",
            environment[ENFORCING_MODE],
            "network_policy_mode already sets it",
            "remove it, and set cluster.network_policy_mode",
        )
    agent = _part(cni, "nodeAgent").get("enabled", True)
    if _is_on(cni.get("enableNetworkPolicy", "true")) and not _is_on(agent):
        yield Problem(
            f"{_CNI}.nodeAgent.enabled",
            agent,
            "the agent enforces network policies, and enableNetworkPolicy would have "
            "no effect: every pod could call every other",
            'remove it; or, to enforce none, set enableNetworkPolicy to "false"',
        )


def _part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _is_on(value: object) -> bool:
    """Return whether a switch is on: the schema accepts strings and booleans."""
    return str(value).lower() == "true"
