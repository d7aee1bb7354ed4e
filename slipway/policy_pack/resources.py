"""Resources as the engine sends them to an analyzer, in the form that rules know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

from components.security.rules import AWS, object_name
from slipway.policy.objects import PARTS, RELATED
from slipway.policy_pack.unknowns import ITEM, Path
from slipway.rendering.manifests import is_object, manifest
from slipway.rendering.recorder import KUBERNETES, MARK, Resource, values

PATCH = "Patch"
"""End of the names of types that change an object that another one made."""


@dataclass(frozen=True)
class Seen:
    """A resource that the engine asked about."""

    resource: Resource
    unknown: frozenset[Path] = frozenset()
    """Inputs that are known only once others are made; the resource lacks them."""
    secrets: frozenset[str] = frozenset()
    """Texts among the inputs that no message may show."""

    @property
    def kind(self) -> str:
        """As rules name it: Kubernetes' own kind, else Pulumi's type."""
        return kind(self.resource.type)

    @property
    def short(self) -> str:
        """The kind without the package of AWS's provider."""
        return self.kind.rpartition(":")[2]

    @property
    def name(self) -> str:
        """As waivers and reports name it: with the namespace where there is one."""
        if not is_object(self.resource):
            return object_name(self.kind, self.resource.name)
        metadata = self.manifest["metadata"]
        namespace = metadata.get("namespace", "")
        return object_name(self.kind, metadata.get("name", ""), namespace)

    @property
    def manifest(self) -> dict[str, Any]:
        """The Kubernetes object; `metadata` is there even where none of it is known."""
        return {"metadata": {}, **manifest(self.resource)}


def kind(type_: str) -> str:
    """Return the rules' name for resources of a type of Pulumi."""
    if not type_.startswith(KUBERNETES):
        return type_
    return type_.rpartition(":")[2].removesuffix(PATCH)


def seen(request: Any) -> Seen:
    """Return the content of an AnalyzeRequest."""
    inputs, has_secrets = values(request.properties)
    resource = Resource(
        urn=request.urn,
        type=request.type,
        name=request.name,
        inputs=inputs,
        custom=request.type.startswith((KUBERNETES, AWS)),
        parent=request.options.parent,
        has_secrets=has_secrets,
        protect=request.options.protect,
    )
    unknown = frozenset(_unknown(request.properties))
    secrets = frozenset(_secrets(request.properties)) if has_secrets else frozenset()
    return Seen(resource, unknown, secrets)


def linked(
    one: Seen, depends: Mapping[str, tuple[str, ...]], others: Mapping[str, Seen]
) -> Seen:
    """The resource with the whole that it is a part of named as in a rendering.

    `depends`: URNs of what each input was made of. `others`: all resources by URN, and
    wholes by the ids that they have, too.
    """
    inputs, unknown = dict(one.resource.inputs), one.unknown
    if one.short not in RELATED:
        return one
    for key, type_ in PARTS.items():
        places = (*depends.get(key, ()), str(inputs.get(key, "")))
        wholes = [others[place] for place in places if place in others]
        for whole in wholes:
            if whole.kind == type_:
                inputs[key] = f"{whole.resource.name}-id"
                unknown -= {(key,)}
    return replace(one, resource=replace(one.resource, inputs=inputs), unknown=unknown)


def _unknown(struct: struct_pb2.Struct) -> Iterator[Path]:
    """Paths of values that stand for what is not known yet."""
    for path, value in _texts(struct, ()):
        if value == rpc.UNKNOWN:
            yield path


def _texts(struct: struct_pb2.Struct, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text with its path; what a secret hides is at the path of the secret."""
    is_secret = MARK in struct.fields
    for key, value in struct.fields.items():
        yield from _of_value(value, path if is_secret else (*path, key))


def _of_value(value: struct_pb2.Value, path: Path) -> Iterator[tuple[Path, str]]:
    form = value.WhichOneof("kind")
    if form == "struct_value":
        yield from _texts(value.struct_value, path)
    elif form == "list_value":
        for item in value.list_value.values:
            yield from _of_value(item, (*path, ITEM))
    elif form == "string_value":
        yield path, value.string_value


def _secrets(struct: struct_pb2.Struct) -> Iterator[str]:
    """Every text that a secret holds."""
    if struct.fields.get(MARK) == struct_pb2.Value(
        string_value=rpc._special_secret_sig
    ):
        hidden = struct.fields["value"]
        yield from (text for _, text in _of_value(hidden, ()) if text != rpc.UNKNOWN)
    for value in struct.fields.values():
        items = value.list_value.values or [value]
        for item in items:
            if item.HasField("struct_value"):
                yield from _secrets(item.struct_value)
