"""JSON Schemas of stack files, with which editors complete and check them.

A schema has the names, kinds, bounds and descriptions of the settings. What depends on
several settings, on the catalogue or on images.lock is checked by the commands only.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from stacks import files, layers, others, values

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SECRET_FORMAT = "password"  # noqa: S105 JSON Schema's name of the format
ENCRYPTED = {
    "type": "object",
    "description": "As `pulumi config set --secret` writes it.",
    "properties": {values.SECURE: {"type": "string"}},
    "required": [values.SECURE],
    "additionalProperties": False,
}
BOUNDS = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
}
"""Pydantic (2.14.3) writes a bound by its own name where a validator comes before it
(findings/pydantic-bound-beside-a-validator.sh)."""

Schema = dict[str, Any]


def of_layer(name: str) -> Schema:
    """The schema of the stack files of a layer; UnknownLayerError if there is none."""
    layer = layers.of(f"{name}.any")
    made = layer.settings.model_json_schema(schema_generator=GenerateJsonSchema)
    definitions = made.pop("$defs", {})
    settings = _adapted(made)
    config = {
        "description": f"The settings of the layer {name}.",
        "type": "object",
        "properties": {
            f"{others.OURS}:{field}": schema
            for field, schema in settings["properties"].items()
        }
        | {f"{others.ENGINE}:{key}": {} for key in others.OF_ENGINE}
        | {
            key: {"description": f"Must equal {ours}."}
            for key, ours in layer.equal.items()
        },
        "required": [f"{others.OURS}:{f}" for f in settings.get("required", [])],
        "additionalProperties": False,
    }
    return {
        "$schema": DIALECT,
        "title": f"Slipway: a stack file of the layer {name}",
        "type": "object",
        "properties": {
            files.CONFIG: config,
            **{key: {"type": "string"} for key in files.KEPT_BY_ENGINE},
        },
        "required": [files.CONFIG] if config["required"] else [],
        "additionalProperties": False,
        "$defs": {name: _adapted(made) for name, made in sorted(definitions.items())},
    }


def text(layer: str) -> str:
    """The schema as it is committed in docs/reference."""
    return json.dumps(of_layer(layer), indent=1, ensure_ascii=False) + "\n"


def _adapted(schema: Any) -> Any:
    """Pydantic's schema in the terms of JSON Schema, as a stack file is written."""
    if isinstance(schema, list):
        return [_adapted(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: _adapted(inner) for name, inner in value.items()}
        elif key == "description":
            found[key] = " ".join(value.split())
        elif key in ("default", "const", "enum"):
            found[key] = value
        elif key not in ("title", "writeOnly", "discriminator"):
            found[BOUNDS.get(str(key), str(key))] = _adapted(value)
    if found.get("format") == SECRET_FORMAT:
        del found["format"]
        description = found.pop("description", None)
        found = {"anyOf": [found, ENCRYPTED]}
        if description:
            found["description"] = description
    return found
