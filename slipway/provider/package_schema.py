"""Pulumi's schema of the package, made of the settings classes' JSON Schemas.

https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema/. Settings are
checked as a whole before the first resource, so their values must be known by then:
they are `plain`. Only links between components may be another resource's outputs. Names
are those of stack files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from slipway.provider.exposed import Exposed

PACKAGE = "slipway"
_SCALARS = ("string", "integer", "number", "boolean")
_ANY = {"$ref": "pulumi.json#/Any"}
Schema = dict[str, Any]


def text(exposed: Iterable[Exposed], version: str) -> str:
    """The schema as JSON."""
    types: dict[str, Schema] = {}
    resources = {one.token: _resource(one, types) for one in exposed}
    schema = {
        "name": PACKAGE,
        "displayName": "Slipway",
        "version": version,
        "description": "Model serving on Kubernetes, components of Slipway",
        "license": "Apache-2.0",
        "language": {
            # A generated SDK calls back into this provider; it needs no other package.
            "nodejs": {"respectSchemaVersion": True},
            "python": {"respectSchemaVersion": True},
        },
        "types": dict(sorted(types.items())),
        "resources": dict(sorted(resources.items())),
    }
    return json.dumps(schema, indent=1)


def _resource(one: Exposed, types: dict[str, Schema]) -> Schema:
    made = one.inputs.model_json_schema()
    for name, definition in made.get("$defs", {}).items():
        types.setdefault(_token(name), _type(definition))
    inputs = _properties(made)
    inputs |= {name: dict(shape) for name, shape in one.links.items()}
    return {
        "isComponent": True,
        "description": one.description,
        "inputProperties": inputs,
        "requiredInputs": sorted([*made.get("required", []), *one.links]),
        "properties": {name: dict(shape) for name, shape in one.outputs.items()},
        "required": [],
    }


def _token(name: str) -> str:
    """Types have one module: a settings class belongs to components of several."""
    return f"{PACKAGE}:index:{name}"


def _type(definition: Schema) -> Schema:
    if "properties" not in definition:
        return {"type": "object", "properties": {}}
    return {
        "type": "object",
        "description": _description(definition),
        "properties": _properties(definition),
        "required": sorted(definition.get("required", [])),
    }


def _properties(schema: Schema) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for name, inner in schema.get("properties", {}).items():
        found[name] = {**_spec(inner), "plain": True}
        if said := _description(inner):
            found[name]["description"] = said
    return found


def _description(schema: Mapping[str, Any]) -> str:
    lines = " ".join(str(schema.get("description", "")).split())
    if known := schema.get("enum"):
        lines += f" One of {', '.join(map(str, known))}."
    if "const" in schema:
        lines += f" {schema['const']}."
    return lines.strip()


def _spec(schema: Schema) -> Schema:
    """A JSON Schema as Pulumi's type; what Pulumi cannot express is Any."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {"$ref": f"#/types/{_token(name)}"}
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return _union([it for it in several if it.get("type") != "null"])
    kind = schema.get("type")
    if kind in _SCALARS:
        return {"type": kind}
    if kind == "array":
        items = schema.get("items", {})
        return {"type": "array", "items": {**_spec(items), "plain": True}}
    if kind == "object":
        values = schema.get("additionalProperties")
        inner = _spec(values) if isinstance(values, dict) else _ANY
        return {"type": "object", "additionalProperties": {**inner, "plain": True}}
    return dict(_ANY)


def _union(several: list[Schema]) -> Schema:
    specs = [_spec(it) for it in several]
    if len(specs) == 1:
        return specs[0]
    return {"oneOf": [{**it, "plain": True} for it in specs]}
