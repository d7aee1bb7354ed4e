"""Writes the generated pages of docs/reference and a picture; tests compare them.

python -m docs.generate
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from components import setting_texts
from components.setting_problems import bare, fields, item, range_of, variants
from docs import refused_reference, report_picture, role_reference, rule_reference
from slipway import stack_schema
from stacks import layers
from toolchain import paths

SETTINGS = Path("docs/reference/settings.md")
HEAD = """\
# Settings

Generated from the settings' classes by `make docs`; a test compares. A stack's file is
`stacks/config/Pulumi.<layer>.<environment>.yaml`; each field of its layer is a key
`slipway:<field>` below `config:`. A key that is not listed here is refused. The classes
are also the arguments of the components, for programs of your own.
"""


def main() -> None:
    (paths.ROOT / SETTINGS).write_text(settings_page())
    (paths.ROOT / role_reference.PAGE).write_text(role_reference.page())
    (paths.ROOT / refused_reference.PAGE).write_text(refused_reference.page())
    (paths.ROOT / rule_reference.PAGE).write_text(rule_reference.page())
    (paths.ROOT / report_picture.PICTURE).write_text(report_picture.picture())
    for layer in layers.LAYERS:
        schema_file(layer).write_text(stack_schema.text(layer))


def schema_file(layer: str) -> Path:
    """Where the JSON Schema of a layer's stack files is committed."""
    return paths.ROOT / "docs" / "reference" / f"{layer}.schema.json"


def settings_page() -> str:
    """The page of all layers' settings as Markdown."""
    parts = [HEAD]
    for layer in layers.TABLE:
        parts.append(f"## Layer {layer.name}\n")
        parts += _sections(layer.settings, "")
    return "\n".join(parts)


def _sections(model: type[BaseModel], path: str) -> Iterator[str]:
    """The class's own table, then those of the classes in it."""
    title = f"`{path}`" if path else "Fields"
    yield f"### {title}\n"
    if path:
        yield f"{_line(model.__doc__)}\n"
    yield "| setting | value | default | meaning |\n|---|---|---|---|"
    yield from (_row(model, name, field) for name, field in fields(model).items())
    yield ""
    for name, field in fields(model).items():
        for nested, more in _nested(field.annotation):
            yield from _sections(nested, f"{path}.{name}{more}".lstrip("."))


def _nested(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """The settings classes in a field, and what a path has after the field's name."""
    kind, more = bare(annotation), ""
    if get_origin(kind) is dict:
        kind, more = item(kind), ".<name>"
    elif get_origin(kind) in (list, tuple):
        kind, more = item(kind), ".<number>"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind, more
    for tag, variant in variants(kind).items():
        yield variant, f"{more} ({tag})"


def _row(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    meaning = _line(setting_texts.of_field(model, field)).replace("|", "\\|")
    return f"| `{name}` | {_value(field)} | {_default(field)} | {meaning} |"


def _value(field: FieldInfo) -> str:
    kind = bare(field.annotation)
    if list(_nested(kind)):
        shapes = {dict: "settings by name", list: "list of settings"}
        return shapes.get(get_origin(kind) or kind, "settings below")
    if get_origin(kind) is dict:
        return f"{_kind(item(kind))} by name"
    if get_origin(kind) not in (list, tuple):
        return _kind(kind) + range_of(field)
    return f"list of: {_kind(item(kind))}"


def _kind(kind: Any) -> str:
    if get_origin(kind) is dict:
        return f"{_kind(item(kind))} by name"
    if get_origin(kind) in (list, tuple):
        return f"lists of {_kind(item(kind))}"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    words = {
        int: "whole number",
        float: "number",
        bool: "true or false",
        str: "text",
        SecretStr: "text that is not shown",
        AwareDatetime: "date and time with its zone",
        date: "day",
        Any: "any value",
    }
    return words[kind]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel) or value is None or value in ({}, (), []):
        return ""
    return f"`{json.dumps(value, default=dict)}`"


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    main()
