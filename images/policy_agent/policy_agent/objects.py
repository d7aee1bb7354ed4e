"""The relevant parts of Kubernetes' objects for policies, and label selectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
FINISHED = ("Succeeded", "Failed")
INGRESS, EGRESS = "Ingress", "Egress"
DIRECTIONS = (INGRESS, EGRESS)


@dataclass(frozen=True)
class Pod:
    """A pod that has addresses of its own."""

    namespace: str
    name: str
    node: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    """Addresses of both families if the cluster has two."""
    ports: tuple[tuple[str, str, int], ...] = ()
    """(name, protocol, number) of the container ports that have a name."""


@dataclass(frozen=True)
class Namespace:
    """A namespace by its labels."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Policy:
    """A NetworkPolicy as it was written."""

    namespace: str
    name: str
    spec: Object

    def directions(self) -> tuple[str, ...]:
        """`policyTypes`, or its default: ingress, and egress where it has rules."""
        types = self.spec.get("policyTypes")
        if types:
            return tuple(direction for direction in DIRECTIONS if direction in types)
        return DIRECTIONS if self.spec.get("egress") else (INGRESS,)

    def rules(self, direction: str) -> list[Object]:
        return list(self.spec.get(direction.lower()) or ())


def pod(content: Object) -> Pod | None:
    """None without addresses of its own: not started, finished, on the host's network.

    A finished pod's address may be another's already; a pod on the host's network
    counts as its node, which the API leaves to implementations.
    """
    status, spec, metadata = (
        content.get("status") or {},
        content.get("spec") or {},
        content["metadata"],
    )
    addresses = tuple(entry["ip"] for entry in status.get("podIPs") or ())
    if not addresses and status.get("podIP"):
        addresses = (status["podIP"],)
    if not addresses or spec.get("hostNetwork") or status.get("phase") in FINISHED:
        return None
    # Of init containers, only those that keep running (sidecars) have ports.
    containers = list(spec.get("containers") or ())
    containers += [
        container
        for container in spec.get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    ]
    ports = tuple(
        (port["name"], port.get("protocol") or "TCP", int(port["containerPort"]))
        for container in containers
        for port in container.get("ports") or ()
        if port.get("name")
    )
    return Pod(
        metadata["namespace"],
        metadata["name"],
        spec.get("nodeName") or "",
        dict(metadata.get("labels") or {}),
        addresses,
        ports,
    )


def namespace(content: Object) -> Namespace:
    metadata = content["metadata"]
    return Namespace(metadata["name"], dict(metadata.get("labels") or {}))


def policy(content: Object) -> Policy:
    metadata = content["metadata"]
    return Policy(
        metadata["namespace"], metadata["name"], dict(content.get("spec") or {})
    )


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector matches; an empty one selects everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(
        _holds(expression, labels)
        for expression in selector.get("matchExpressions") or ()
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    values = expression.get("values") or ()
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        # An object without the label is selected too.
        return key not in labels or labels[key] not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise ValueError(f"unknown operator {operator} in a label selector")
