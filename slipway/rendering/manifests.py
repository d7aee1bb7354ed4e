"""Kubernetes manifests of a rendered program: form, order and file names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from components.yaml_text import written
from slipway.rendering.recorder import KUBERNETES, Resource
from toolchain.errors import WrongInputError

_NOT_OBJECTS = ("helm.sh", "kustomize", "yaml")
"""Modules of the Kubernetes provider whose resources are made of other objects."""

_ORDER = (
    ("Namespace",),
    ("CustomResourceDefinition", "PriorityClass", "RuntimeClass", "StorageClass"),
    ("ResourceQuota", "LimitRange", "NetworkPolicy"),
    ("ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim"),
    ("ClusterRole", "Role"),
    ("ClusterRoleBinding", "RoleBinding"),
    ("Service",),
    ("Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob", "Pod"),
    ("HorizontalPodAutoscaler", "PodDisruptionBudget"),
)
"""Who must exist before whom when files are applied in order; all others come last."""

_FIRST_KEYS = ("apiVersion", "kind", "metadata", "name", "namespace")


class DuplicateObjectError(WrongInputError):
    """Two resources of one program are the same object in the cluster."""


def is_object(resource: Resource) -> bool:
    """Whether the resource is one object of the Kubernetes API."""
    if not resource.custom or not resource.type.startswith(KUBERNETES):
        return False
    return resource.type.split(":")[1].split("/")[0] not in _NOT_OBJECTS


def content(resource: Resource) -> dict[str, Any]:
    """The object that the provider would send; what it holds is the resource's own."""
    _, version, kind = resource.type.split(":")
    found = {
        "apiVersion": version.removeprefix("core/"),
        "kind": kind.removesuffix("Patch"),
        **resource.inputs,
    }
    return {key: value for key, value in found.items() if not key.startswith("__")}


def manifest(resource: Resource) -> dict[str, Any]:
    """A copy of the object with its keys in order, ready for `kubectl apply`."""
    ordered: dict[str, Any] = _ordered(content(resource))
    return ordered


def _ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    first = [key for key in _FIRST_KEYS if key in value]
    rest = sorted(key for key in value if key not in _FIRST_KEYS)
    return {key: _ordered(value[key]) for key in [*first, *rest]}


def identity(manifest: dict[str, Any]) -> tuple[str, str, str, str]:
    """What makes an object one: API group, kind, namespace, name."""
    metadata = manifest.get("metadata", {})
    group = manifest["apiVersion"].rpartition("/")[0]
    name = metadata.get("name") or metadata.get("generateName", "")
    return (group, manifest["kind"], metadata.get("namespace", ""), name)


def shown_name(resource: Resource) -> str:
    """`namespace/name` of an object in a cluster, else the name in the stack."""
    if not is_object(resource):
        return resource.name
    _, _, namespace, own = identity(content(resource))
    return "/".join(filter(None, (namespace, own)))


def rank(kind: str) -> int:
    """Place of a kind when objects are applied in order."""
    return next((i for i, kinds in enumerate(_ORDER) if kind in kinds), len(_ORDER))


def in_order(resources: Iterable[Resource]) -> list[Resource]:
    """All that are Kubernetes objects, in the order in which they can be applied.

    Raises DuplicateObjectError: the second of two would overwrite the first.
    """
    objects: dict[tuple[str, str, str, str], Resource] = {}
    for resource in sorted(filter(is_object, resources), key=lambda r: r.urn):
        key = identity(content(resource))
        if key in objects:
            raise DuplicateObjectError(
                f"two resources are the same object {'/'.join(filter(None, key))}: "
                f"{objects[key].urn} and {resource.urn}; remove one or rename it"
            )
        objects[key] = resource
    return [objects[key] for key in sorted(objects, key=lambda k: (rank(k[1]), k))]


def file_name(manifest: dict[str, Any]) -> str:
    """Name of the object's file; `kubectl apply -f FOLDER` takes them in name order."""
    group, kind, namespace, name = identity(manifest)
    # The group only where a kind of the same name exists in Kubernetes itself or in
    # none: it distinguishes custom kinds, built-in ones read better without.
    kind = kind if rank(kind) < len(_ORDER) else f"{kind}.{group}".rstrip(".")
    parts = [kind.lower(), namespace, name]
    text = ".".join(part for part in parts if part)
    return f"{rank(manifest['kind']):02}-{re.sub(r'[^A-Za-z0-9.-]', '-', text)}.yaml"


def to_yaml(manifest: dict[str, Any]) -> str:
    """The manifest as YAML with the keys in its own order."""
    return written(manifest)
