"""The Kubernetes objects to translate, and errors about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.settings import Problem, SettingsError

Object = dict[str, Any]


@dataclass(frozen=True)
class Objects:
    """Objects of rendered stacks."""

    all: tuple[Object, ...]

    @classmethod
    def of(cls, *manifests: Iterable[Object]) -> Objects:
        return cls(tuple(one for some in manifests for one in some))

    def kind(self, *kinds: str) -> list[Object]:
        """All of these kinds, in the order in which they would be applied."""
        return [one for one in self.all if one["kind"] in kinds]

    def find(self, kind: str, name: str, namespace: str) -> Object | None:
        """One object, or None."""
        for one in self.kind(kind):
            if (name_of(one), namespace_of(one)) == (name, namespace):
                return one
        return None

    def selected(self, service: Object) -> list[Object]:
        """Return the Deployments and StatefulSets whose pods a Service selects."""
        wanted = service["spec"].get("selector") or {}
        return [
            workload
            for workload in self.kind("Deployment", "StatefulSet")
            if namespace_of(workload) == namespace_of(service)
            and wanted
            and wanted.items() <= pod_metadata(workload).get("labels", {}).items()
        ]

    def services_of(self, workload: Object) -> list[Object]:
        """Return the Services that select a workload's pods."""
        return [s for s in self.kind("Service") if workload in self.selected(s)]


def name_of(one: Object) -> str:
    return str(one["metadata"]["name"])


def namespace_of(one: Object) -> str:
    return str(one["metadata"].get("namespace", ""))


def pod_metadata(workload: Object) -> Mapping[str, Any]:
    """Labels and annotations of a workload's pods."""
    found: Mapping[str, Any] = workload["spec"]["template"].get("metadata", {})
    return found


def pod_spec(workload: Object) -> Object:
    found: Object = workload["spec"]["template"]["spec"]
    return found


def path_of(one: Object, path: str) -> str:
    """Where a problem lies: `Deployment models/employment spec.replicas`."""
    namespace = namespace_of(one)
    name = f"{namespace}/{name_of(one)}" if namespace else name_of(one)
    return f"{one['kind']} {name} {path}"


def problem(one: Object, path: str, value: Any, reason: str, fix: str) -> SettingsError:
    """The refusal of an object that Compose or this translation cannot take."""
    where = "slipway compose"
    return SettingsError(where, [Problem(path_of(one, path), value, reason, fix)])
