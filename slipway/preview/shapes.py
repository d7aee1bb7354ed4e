"""The form that resources must have for the report to read them.

A graph is written by the code of a side, which may be a change under review: an object
may have a list where Kubernetes has a mapping, or a number for its name. The API server
would refuse it; here it is refused before anything reads it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, TypeAdapter
from pydantic import ValidationError as Invalid
from pydantic.alias_generators import to_camel

from components.yaml_text import DEEPEST
from slipway.rendering import manifests
from slipway.rendering.recorder import Resource

TEXTS = ("urn", "type", "name", "parent", "provider", "digest")
FLAGS = ("custom", "has_secrets", "protect", "retain")
LISTS = ("ignore_changes", "depends_on")
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_LONGEST = 120


class _Form(BaseModel):
    """Fields by the names that Kubernetes has; others are not looked at."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")


class _Metadata(_Form):
    name: StrictStr = ""
    generate_name: StrictStr = ""
    namespace: StrictStr = ""
    labels: dict[StrictStr, StrictStr] | None = None
    annotations: dict[StrictStr, StrictStr] | None = None


class _Object(_Form):
    metadata: _Metadata = _Metadata()
    immutable: bool | None = None


class _Pod(_Form):
    termination_grace_period_seconds: int = 0


class _Template(_Form):
    metadata: _Metadata | None = None
    spec: _Pod


class _Rolling(_Form):
    max_surge: int | str = ""
    max_unavailable: int | str = ""


class _Strategy(_Form):
    type: StrictStr = ""
    rolling_update: _Rolling | None = None


class _WorkloadSpec(_Form):
    template: _Template
    replicas: int = 0
    strategy: _Strategy | None = None
    update_strategy: _Strategy | None = None
    volume_claim_templates: list[Any] | None = None


class _Workload(_Object):
    spec: _WorkloadSpec


class _Target(_Form):
    name: StrictStr


class _ScalerSpec(_Form):
    scale_target_ref: _Target
    min_replicas: int | None = None
    max_replicas: int | None = None
    min_replica_count: int | None = None
    max_replica_count: int | None = None


class _Scaler(_Object):
    metadata: _Metadata
    spec: _ScalerSpec


class _Header(_Form):
    name: StrictStr
    value: StrictStr


class _Path(_Form):
    value: StrictStr = ""


class _Match(_Form):
    path: _Path | None = None
    headers: list[_Header] | None = None


class _Backend(_Form):
    name: StrictStr
    weight: int = Field(default=1, ge=0)


class _RouteRule(_Form):
    backend_refs: list[_Backend] | None = None
    matches: list[_Match] | None = None


class _RouteSpec(_Form):
    rules: list[_RouteRule] | None = None


class _Route(_Object):
    spec: _RouteSpec


class _PlainSpec(_Object):
    spec: dict[str, Any] | None = None


_FORMS: dict[str, type[_Object]] = {
    **dict.fromkeys(_WORKLOADS, _Workload),
    **dict.fromkeys(("HorizontalPodAutoscaler", "ScaledObject"), _Scaler),
    "HTTPRoute": _Route,
    "GRPCRoute": _Route,
}


def wrong(resource: Resource) -> str:
    """What is wrong with the form of the resource: its name, a path and a reason.

    Empty if nothing is.
    """
    for names, kind in ((TEXTS, str), (FLAGS, bool), (LISTS, tuple)):
        for name in names:
            if not isinstance(getattr(resource, name), kind):
                return f"{_named(resource)}: {name} is no {kind.__name__}"
    if not all(isinstance(one, str) for key in LISTS for one in getattr(resource, key)):
        return f"{_named(resource)}: {' or '.join(LISTS)} has what is no text"
    if not isinstance(resource.inputs, dict):
        return f"{_named(resource)}: its inputs are no mapping"
    if resource.custom and resource.type.count(":") != 2:
        return (
            f"the type {resource.type!r} of {resource.name!r}\n  reason: a type has "
            "three parts with ':' between them, as in aws:s3/bucket:Bucket"
        )
    if _is_deep(resource.inputs):
        return f"{_named(resource)}: its inputs have more than {DEEPEST} levels"
    return _of_object(resource) if manifests.is_object(resource) else ""


def _of_object(resource: Resource) -> str:
    kind = resource.type.rpartition(":")[2]
    try:
        _form(_FORMS.get(kind, _PlainSpec)).validate_python(resource.inputs)
    except Invalid as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        return f"{_named(resource)}: {path}: {first['msg']}"
    return ""


@cache
def _form(model: type[_Object]) -> TypeAdapter[_Object]:
    return TypeAdapter(model)


def _named(resource: Resource) -> str:
    return f"{str(resource.type)[:_LONGEST]} {str(resource.name)[:_LONGEST]!r}"


def _is_deep(value: Any) -> bool:
    """Return whether it has more than DEEPEST levels, without calling itself."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
