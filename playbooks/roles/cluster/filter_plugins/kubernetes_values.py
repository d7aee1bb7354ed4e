"""Values of variables as Kubernetes wants them, and what it would refuse.

YAML gives `true`, `1` and `0.5` as a boolean and numbers; Kubernetes wants the text of
quantities, labels, taints and durations. `kubernetes_text` writes it, and the filters
whose names end in `_problems` say what no text can mend, for the role preflight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_QUANTITY = re.compile(r"[+]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
"""https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""
_PERCENT = re.compile(r"\d+(\.\d+)?%")
_DURATION = re.compile(r"0|(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
DURATIONS = (
    "kubelet_shutdown_grace_period",
    "kubelet_shutdown_grace_period_critical_pods",
    "kubelet_token_ttl",
    "control_plane_hpa_sync_period",
    "control_plane_hpa_downscale_stabilization",
    "control_plane_hpa_cpu_initialization_period",
    "control_plane_hpa_initial_readiness_delay",
    "control_plane_node_monitor_grace_period",
)
"""Variables of the roles kubelet and control_plane that are durations of Go's."""
RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")
"""https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/"""
SIGNALS = (
    *("memory.available", "nodefs.available", "nodefs.inodesFree"),
    *("imagefs.available", "imagefs.inodesFree", "containerfs.available"),
    *("containerfs.inodesFree", "pid.available", "allocatableMemory.available"),
)
"""https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/"""
KUBELET_LABELS = (
    *("kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os"),
    *("beta.kubernetes.io/arch", "beta.kubernetes.io/os"),
    *("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    *("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    *("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
)
KUBELET_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
"""Of Kubernetes' own labels those that a kubelet may give itself (--node-labels)."""

Problems = Iterator[str]
Check = Callable[[str], str | None]


def kubernetes_text(value: Any) -> str:
    """Text of a scalar: `true`, `1`, `0.5`; nothing for a missing value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def kubernetes_texts(values: Mapping[Any, Any] | None) -> dict[str, str]:
    """The same for each value of a mapping."""
    return {str(key): kubernetes_text(value) for key, value in (values or {}).items()}


def kubelet_taints(taints: Sequence[Mapping[str, Any]] | None) -> list[dict[str, str]]:
    """Taints whose keys, values and effects are text."""
    return [kubernetes_texts(taint) for taint in taints or []]


def kubernetes_problems(variables: Mapping[str, Any]) -> list[str]:
    """What the kubelet or the control plane would refuse of the roles' variables.

    Those that are not given have defaults that are right.
    """
    return [
        *_reserved(variables.get("kubelet_system_reserved")),
        *_eviction(variables.get("kubelet_eviction_hard")),
        *_labels(variables.get("kubelet_labels")),
        *_taints(variables.get("kubelet_taints")),
        *_durations(variables),
    ]


def _mapping(name: str, value: Any) -> Problems:
    if value is not None and not isinstance(value, Mapping):
        yield f"{name} is {value!r}: give a mapping of names to values"


def _reserved(value: Any) -> Problems:
    name = "kubelet_system_reserved"
    yield from _mapping(name, value)
    for key, amount in (value if isinstance(value, Mapping) else {}).items():
        if str(key) not in RESERVABLE:
            yield f"{name}.{key}: it is not one of {', '.join(RESERVABLE)}"
        elif problem := _quantity(amount):
            yield f"{name}.{key}: {problem}"


def _eviction(value: Any) -> Problems:
    name = "kubelet_eviction_hard"
    yield from _mapping(name, value)
    for key, amount in (value if isinstance(value, Mapping) else {}).items():
        if str(key) not in SIGNALS:
            yield f"{name}.{key}: it is not one of {', '.join(SIGNALS)}"
        elif isinstance(amount, str) and amount.endswith("%"):
            if not _PERCENT.fullmatch(amount) or float(amount[:-1]) >= 100:
                yield f"{name}.{key}: {amount!r} is not a share below 100%, such as 10%"
        elif problem := _quantity(amount):
            yield f"{name}.{key}: {problem}"


def _quantity(value: Any) -> str | None:
    if isinstance(value, bool) or not _QUANTITY.fullmatch(kubernetes_text(value)):
        return f"{value!r} is not a quantity, such as 100m, 0.5 or 256Mi"
    return None


def _labels(value: Any) -> Problems:
    name = "kubelet_labels"
    yield from _mapping(name, value)
    for key, text in (value if isinstance(value, Mapping) else {}).items():
        yield from _problem(f"{name}.{key}", _key(str(key)) or _own_label(str(key)))
        yield from _problem(f"{name}.{key}", _value(text))


def _taints(value: Any) -> Problems:
    seen: set[tuple[str, str]] = set()
    for number, taint in enumerate(value or []):
        path = f"kubelet_taints[{number}]"
        if not isinstance(taint, Mapping):
            yield f"{path} is {taint!r}: give key, value and effect"
            continue
        key, effect = str(taint.get("key", "")), str(taint.get("effect", ""))
        yield from _problem(f"{path}.key", _key(key))
        yield from _problem(f"{path}.value", _value(taint.get("value")))
        if (key, effect) in seen:
            yield f"{path}: {key}:{effect} is there twice"
        seen.add((key, effect))


def _durations(variables: Mapping[str, Any]) -> Problems:
    for name in DURATIONS:
        value = variables.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not _DURATION.fullmatch(kubernetes_text(value)):
            yield f"{name}: {value!r} is not a duration, such as 60s or 1m30s"


def _problem(path: str, problem: str | None) -> Problems:
    if problem:
        yield f"{path}: {problem}"


def _key(key: str) -> str | None:
    prefix, slash, name = key.rpartition("/")
    if slash and not (_DOMAIN.fullmatch(prefix) and len(prefix) <= 253):
        return f"{prefix!r} is not a domain in lower case, as a key's prefix must be"
    if not _NAME.fullmatch(name):
        return (
            f"{name!r} is not a name of at most 63 letters, digits and -_. that begins "
            "and ends with a letter or digit"
        )
    return None


def _own_label(key: str) -> str | None:
    prefix, _, _ = key.rpartition("/")
    own = prefix.split(".")[-2:] in (["kubernetes", "io"], ["k8s", "io"])
    allowed = key in KUBELET_LABELS or any(
        prefix == known or prefix.endswith(f".{known}") for known in KUBELET_PREFIXES
    )
    if own and not allowed:
        return (
            "a kubelet may not give itself this label of Kubernetes' own; use kubectl"
        )
    return None


def _value(value: Any) -> str | None:
    if isinstance(value, float):
        return f"YAML reads it as the number {value!r}: put what you mean in quotes"
    text = kubernetes_text(value)
    if text and not _NAME.fullmatch(text):
        return (
            f"{text!r} is not a value of at most 63 letters, digits and -_. that "
            "begins and ends with a letter or digit"
        )
    return None


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "kubelet_taints": kubelet_taints,
            "kubernetes_problems": kubernetes_problems,
            "kubernetes_text": kubernetes_text,
            "kubernetes_texts": kubernetes_texts,
        }
