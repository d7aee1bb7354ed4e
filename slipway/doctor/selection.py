"""Compares a pod's node requirements with the nodes of a NodePool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
WELL_KNOWN = (
    INSTANCE_TYPE,
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "karpenter.sh/capacity-type",
    "karpenter.sh/nodepool",
)
"""Labels that every node has, even if its pool does not declare them."""
WELL_KNOWN_PREFIX = "karpenter.k8s.aws/"


@dataclass(frozen=True)
class Requirement:
    """One expression of a node selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, expression: Mapping[str, Any]) -> Requirement:
        values = tuple(map(str, expression.get("values") or ()))
        return cls(expression["key"], expression["operator"], values)

    def admits(self, value: str | None) -> bool:
        """Return whether a node with this label value fits; None: without the label."""
        if self.operator in ("Gt", "Lt"):
            if value is None:
                return False
            above = int(value) - int(self.values[0])
            return above > 0 if self.operator == "Gt" else above < 0
        by_operator = {
            "In": value in self.values,
            "NotIn": value not in self.values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        return by_operator.get(self.operator, True)

    def __str__(self) -> str:
        one_of = ", ".join(self.values)
        words = {
            "In": f"{self.key} {one_of}",
            "NotIn": f"{self.key} not {one_of}",
            "DoesNotExist": f"no {self.key}",
        }
        return words.get(self.operator, f"{self.key} {self.operator} {one_of}".strip())


@dataclass(frozen=True)
class PoolNodes:
    """What a NodePool (karpenter.sh/v1) declares about its nodes."""

    name: str
    labels: Mapping[str, str]
    requirements: tuple[Requirement, ...]
    taints: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, pool: Mapping[str, Any]) -> PoolNodes:
        name = pool["metadata"]["name"]
        template = pool["spec"]["template"]
        spec = template["spec"]
        labels = dict(template.get("metadata", {}).get("labels") or {})
        return cls(
            name=name,
            labels=labels | {"karpenter.sh/nodepool": name},
            requirements=tuple(map(Requirement.of, spec.get("requirements") or ())),
            taints=tuple(spec.get("taints") or ()),
        )

    def values(self, key: str) -> tuple[str, ...] | None:
        """Return possible values of its nodes' label; None: any, empty: no label."""
        if key in self.labels:
            return (self.labels[key],)
        own = [r for r in self.requirements if r.key == key]
        listed = next((r.values for r in own if r.operator == "In"), None)
        if listed is None:
            is_known = key in WELL_KNOWN or key.startswith(WELL_KNOWN_PREFIX)
            return None if own or is_known else ()
        return tuple(v for v in listed if all(r.admits(v) for r in own))

    def meets(self, asked: Requirement) -> bool:
        """Return whether any of its nodes may meet the requirements."""
        values = self.values(asked.key)
        if values is None:
            return True
        return any(asked.admits(value) for value in values or (None,))

    def untolerated(self, tolerations: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        """Return the taints that keep out a pod with these tolerations."""
        known = list(tolerations)
        for taint in self.taints:
            hard = taint["effect"] in ("NoSchedule", "NoExecute")
            if hard and not any(_tolerates(t, taint) for t in known):
                value = f"={taint['value']}" if taint.get("value") else ""
                yield f"{taint['key']}{value}:{taint['effect']}"


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (
        toleration.get("value") or ""
    ) == (taint.get("value") or "")


def alternatives(pod: Mapping[str, Any]) -> list[tuple[Requirement, ...]]:
    """Return alternative label requirements: all of one must be met."""
    spec = pod["spec"]
    chosen = tuple(
        Requirement(key, "In", (value,))
        for key, value in (spec.get("nodeSelector") or {}).items()
    )
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or [{}]
    return [
        (*chosen, *map(Requirement.of, term.get("matchExpressions") or ()))
        for term in terms
    ]
