"""Kubernetes' own schemas, unknown fields refused; those of custom kinds from a CRD."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from kubernetes_validate import utils
from referencing import Registry, Resource

KUBERNETES = "1.36"
CUSTOM = ("BackendTrafficPolicy", "HTTPRoute", "HTTPRouteFilter")
"""Kinds of a model server that have the schemas of their own CRDs (test_access.py)."""


class NoSchemaError(LookupError):
    """A kind that neither Kubernetes nor any given CRD knows."""


@functools.cache
def _definitions(version: str) -> Registry[Any]:
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    content = utils.schema_contents(f"{folder}/_definitions.json", version)
    return Resource.from_contents(content) @ Registry()


@functools.cache
def _validator(
    kind: str, api_version: str, version: str
) -> jsonschema.Draft202012Validator:
    """As kubernetes_validate does, but reading each file once."""
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    try:
        schema = utils.schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    except FileNotFoundError:
        raise NoSchemaError(f"{kind} of {api_version}") from None
    return jsonschema.Draft202012Validator(schema, registry=_definitions(version))


def problems(manifest: dict[str, Any], version: str = KUBERNETES) -> list[str]:
    """What the API server would not take, unknown fields among it."""
    validator = _validator(manifest["kind"], manifest["apiVersion"], version)
    return [f"{e.json_path}: {e.message}" for e in validator.iter_errors(manifest)]


def crd_problems(manifest: dict[str, Any], crd: dict[str, Any]) -> list[str]:
    """The same for a custom kind, by the schema in its CustomResourceDefinition."""
    wanted = manifest["apiVersion"].rpartition("/")[2]
    version = next(v for v in crd["spec"]["versions"] if v["name"] == wanted)
    validator = _custom_validator(json.dumps(version["schema"]["openAPIV3Schema"]))
    return [f"{e.json_path}: {e.message}" for e in validator.iter_errors(manifest)]


@functools.lru_cache(maxsize=64)
def _custom_validator(schema: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_closed(json.loads(schema)))


def _closed(schema: Any, *, top: bool = True) -> Any:
    """The schema with unknown fields refused wherever fields are listed."""
    if isinstance(schema, list):
        return [_closed(item, top=False) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value, top=False) for key, value in schema.items()}
    listed = isinstance(schema.get("properties"), dict) and "type" in schema
    if listed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    if top:
        closed["properties"]["metadata"] = {"type": "object"}
    if closed.get("nullable") and isinstance(closed.get("type"), str):
        closed["type"] = [closed["type"], "null"]
    if closed.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
    return closed
