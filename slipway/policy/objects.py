"""The input of rules: the objects of a rendered stack, and their relations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.security.rules import AWS, STACK, object_name
from slipway.policy.owners import SELECTING, TARGETING, Owners
from slipway.rendering.manifests import in_order, is_object, manifest
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered

Object = dict[str, Any]
Related = dict[str, list[Object]]
PARTS = {
    "bucket": "aws:s3/bucket:Bucket",
    "vpcId": "aws:ec2/vpc:Vpc",
}
"""Inputs by which a resource says whose part it is, and the type of the whole."""
RELATED = (
    *SELECTING,
    *TARGETING,
    "Gateway",
    "BucketLifecycleConfiguration",
    "BucketPolicy",
    "BucketPublicAccessBlock",
    "BucketServerSideEncryptionConfiguration",
    "BucketVersioning",
    "FlowLog",
)
"""Kinds that a rule may ask for; of each there is a list, which may be empty."""


@dataclass(frozen=True)
class Judged:
    """One object with what belongs to it."""

    kind: str
    name: str
    """Name in waivers and reports: Kind/namespace/name."""
    content: Object
    related: Related = field(default_factory=dict)
    """Other objects by kind: those that select, target or are part of it."""
    labels: Mapping[str, str] = field(default_factory=dict)


def of_rendered(
    rendered: Rendered, made: Callable[[Resource], Object] = manifest
) -> list[Judged]:
    """All Kubernetes objects and AWS resources of a stack.

    `made`: gives the manifest of a resource.
    """
    whole = [_with_metadata(made(one)) for one in in_order(rendered.resources)]
    found = [*_kubernetes(whole), *_aws(rendered.resources)]
    return sorted(found, key=lambda judged: judged.name)


def of_resources(resources: Iterable[Resource]) -> list[Judged]:
    """Return the same for resources that did not come from a rendering."""
    ours = tuple(resources)
    whole = [_with_metadata(manifest(r)) for r in ours if is_object(r)]
    return [*_kubernetes(whole), *_aws(ours)]


def _with_metadata(content: Object) -> Object:
    """The object itself if it has metadata: what is judged is known by identity."""
    return content if "metadata" in content else {"metadata": {}, **content}


def of_stack(content: Object) -> Judged:
    """The stack itself."""
    return Judged(STACK, object_name(STACK, content["name"]), content)


def alone(content: Object) -> Judged:
    """One Kubernetes object by itself, with nothing that belongs to it."""
    (found,) = _kubernetes([content])
    return found


def _kubernetes(manifests: list[Object]) -> Iterator[Judged]:
    owners = Owners(manifests)
    for one in manifests:
        metadata = one["metadata"]
        yield Judged(
            kind=one["kind"],
            name=object_name(
                one["kind"], metadata.get("name", ""), metadata.get("namespace", "")
            ),
            content=one,
            related=_by_kind(owners.of(one)),
            labels=metadata.get("labels") or {},
        )


def _by_kind(found: Iterable[Object]) -> Related:
    related: Related = {kind: [] for kind in RELATED}
    for one in found:
        related[one["kind"]].append(one)
    return related


def _aws(resources: tuple[Resource, ...]) -> Iterator[Judged]:
    ours = [r for r in resources if r.custom and r.type.startswith(AWS)]
    parts: dict[tuple[str, str], Related] = {}
    for resource in ours:
        for whole in _wholes(resource):
            own = parts.setdefault(whole, {kind: [] for kind in RELATED})
            content = {**resource.inputs, "policies": _documents(resource)}
            own[_short(resource)].append(content)
    for resource in ours:
        content = {
            "kind": resource.type,
            "name": resource.name,
            "inputs": resource.inputs,
            "protect": resource.protect,
            "policies": _documents(resource),
        }
        yield Judged(
            kind=resource.type,
            name=object_name(resource.type, resource.name),
            content=content,
            related=parts.get(
                (resource.type, resource.name), {kind: [] for kind in RELATED}
            ),
        )


def _short(resource: Resource) -> str:
    return resource.type.rpartition(":")[2]


def _wholes(resource: Resource) -> Iterator[tuple[str, str]]:
    """Type and name of what the resource is a part of, as rendering names ids."""
    if _short(resource) in RELATED:
        for key, type_ in PARTS.items():
            if key in resource.inputs:
                yield type_, str(resource.inputs[key]).removesuffix("-id")


def _documents(resource: Resource) -> list[Object]:
    """Policy documents among the inputs, in one form."""
    found = []
    for key, text in resource.inputs.items():
        statements = _statements(text) if "policy" in key.lower() else None
        if statements is not None:
            kind = _kind(resource.type, key)
            said = [statement(s, n) for n, s in enumerate(statements, 1)]
            found.append({"field": key, "kind": kind, "statements": said})
    return found


def _statements(text: Any) -> list[Object] | None:
    """Statements of a policy document of IAM; None if the value is none.

    IAM takes one statement as itself or as a list.
    """
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    stated = found.get("Statement") if isinstance(found, dict) else None
    if isinstance(stated, dict):
        return [stated]
    return stated if isinstance(stated, list) else None


def _kind(type_: str, key: str) -> str:
    if key == "assumeRolePolicy":
        return "trust"
    of_identity = type_.startswith("aws:iam/") or "podIdentityAssociation" in type_
    return "identity" if of_identity else "resource"


def statement(given: Any, number: int = 1) -> Object:
    """A statement of IAM in the one form that rules know.

    Rules list statements by their `sid`: one without is named by its place, from 1. Of
    what IAM would refuse, such as a text in place of a mapping, there is nothing in it.
    """
    given = given if isinstance(given, dict) else {}
    principal = given.get("Principal", [])
    if isinstance(principal, dict):
        principal = [p for one in principal.values() for p in _items(one)]
    conditions = given.get("Condition")
    conditions = conditions.values() if isinstance(conditions, dict) else ()
    return {
        "sid": str(given.get("Sid") or f"statement {number}"),
        "effect": given.get("Effect", ""),
        "inverted": "NotAction" in given or "NotResource" in given,
        "actions": _items(given.get("Action", [])),
        "resources": _items(given.get("Resource", [])),
        "principals": _items(principal),
        "condition_keys": [k for c in conditions if isinstance(c, dict) for k in c],
    }


def _items(value: Any) -> list[Any]:
    """IAM takes one as itself or as a list."""
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []
