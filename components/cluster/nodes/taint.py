"""Taints and labels of nodes: whose keys are taken, and what Kubernetes accepts."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from components.settings import Settings, refuse

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_PREFIX = 253
TAKEN = (
    "kubernetes.io",
    "k8s.io",
    "karpenter.sh",
    "karpenter.k8s.aws",
    "amazonaws.com",
    "aws.amazon.com",
    "nvidia.com",
    "slipway.dev",
)
"""Domains whose labels and taints Kubernetes, its controllers and the components set;
the API server and Karpenter refuse most of them."""


def label_key(value: str) -> str:
    """The key of a label, taint or annotation, if Kubernetes takes it."""
    prefix, slash, name = value.rpartition("/")
    right = _NAME.fullmatch(name) and (
        not slash or (_PREFIX.fullmatch(prefix) and len(prefix) <= _LONGEST_PREFIX)
    )
    if not right:
        refuse(
            "not a valid label or taint key",
            "give one like team or example.com/team, at most 63 letters, digits and "
            ". _ - after the slash",
        )
    return value


def _key(value: str) -> str:
    prefix, _, _ = label_key(value).rpartition("/")
    for domain in TAKEN:
        if prefix == domain or prefix.endswith(f".{domain}"):
            refuse(
                f"keys in {domain} belong to Kubernetes, its controllers or the "
                "components",
                "give one in your own domain, for example example.com/team",
            )
    return value


def _value(value: str) -> str:
    if value and not _NAME.fullmatch(value):
        refuse(
            "not a valid label or taint value",
            "give at most 63 letters, digits and . _ - between them",
        )
    return value


LabelKey = Annotated[str, AfterValidator(label_key)]
"""The key of a label or annotation, of whatever domain."""
NodeKey = Annotated[str, AfterValidator(_key)]
"""The key of a label or taint that nodes may be given."""
NodeValue = Annotated[str, AfterValidator(_value)]
"""The value of a label or taint."""
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


def toleration(key: str, value: str, effect: Effect) -> dict[str, str]:
    """A pod's toleration of just this taint."""
    return {"key": key, "operator": "Equal", "value": value, "effect": effect}


class Taint(Settings):
    """Keeps pods off that do not tolerate it."""

    key: NodeKey
    """The taint's key, in your own domain or without a domain."""
    value: NodeValue = ""
    """The taint's value."""
    effect: Effect = "NoSchedule"
    """What happens to pods that do not tolerate it."""

    @property
    def toleration(self) -> dict[str, str]:
        """Return the toleration of exactly this taint."""
        return toleration(self.key, self.value, self.effect)
