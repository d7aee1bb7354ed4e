"""The reference page of the roles' variables, from their argument specifications."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from toolchain import paths

PAGE = Path("docs/reference/roles.md")
ROLES = Path("playbooks/roles")
HEAD = """\
# Roles and their variables

Generated from the roles' `meta/argument_specs.yml` by `make docs`; a test compares.
How to use them: [hosts](../how-to/hosts.md). A variable of a wrong type or outside its
choices stops the run where its role begins.
"""


def page() -> str:
    """All roles as Markdown, in the order of their names."""
    parts = [HEAD]
    for folder in sorted((paths.ROOT / ROLES).iterdir()):
        spec = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())
        parts += _section(folder.name, spec["argument_specs"]["main"])
    return "\n".join(parts)


def _section(role: str, spec: dict[str, Any]) -> Iterator[str]:
    yield f"## {role}\n"
    yield _text(spec["short_description"]) + ".\n"
    for paragraph in spec.get("description", []):
        yield _text(paragraph) + "\n"
    yield "| variable | value | default | meaning |\n|---|---|---|---|"
    yield from _rows("", spec["options"])
    yield ""


def _rows(above: str, options: dict[str, Any]) -> Iterator[str]:
    for name, option in options.items():
        meaning = _text(option["description"]).replace("|", "\\|")
        kind, default = _kind(option), _default(option)
        yield f"| `{above}{name}` | {kind} | {default} | {meaning} |"
        yield from _rows(f"{above}{name}[].", option.get("options", {}))


def _kind(option: dict[str, Any]) -> str:
    if "choices" in option:
        return ", ".join(f"`{choice}`" for choice in option["choices"])
    kind: str = option["type"]
    return f"list of {option['elements']}" if kind == "list" else kind


def _default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "required"
    return f"`{json.dumps(option['default'])}`" if "default" in option else ""


def _text(text: str) -> str:
    """Ansible's markup of code as Markdown's."""
    return re.sub(r'C\("?(.*?)"?\)', r"`\1`", " ".join(text.split()))
