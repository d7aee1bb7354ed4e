"""Renders stacks with the code of one checkout and writes what they consist of as JSON.

A program of its own: `slipway.preview.rendering` starts it in a process without the
caller's environment. It takes nothing from the checkout that compares, so that each
side is rendered by its own code. Arguments: the checkout, the file to write, the
stacks.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FIELDS = ("urn", "type", "name", "inputs", "custom", "provider", "digest")
OPTIONS = ("has_secrets", "ignore_changes", "protect", "retain", "depends_on")
"""Fields of a recorded resource; an older checkout may not know all of them."""


def main(checkout: str, out: str, stacks: list[str]) -> None:
    """Writes `{stack: {"resources": [...]} or {"error": text}}`."""
    sys.path.insert(0, checkout)
    from slipway.rendering.render import render

    found = {stack: _rendered(render, stack) for stack in stacks}
    Path(out).write_text(json.dumps(found))


def _rendered(render: Callable[[str], Any], stack: str) -> dict[str, Any]:
    try:
        resources = render(stack).resources
    except Exception as error:  # noqa: BLE001 whatever a program raises is its result
        known = hasattr(error, "exit_status")
        return {"error": str(error) if known else traceback.format_exc(limit=-3)}
    return {"resources": [_resource(resource) for resource in resources]}


def _resource(resource: Any) -> dict[str, Any]:
    fields = {name: getattr(resource, name, "") for name in FIELDS}
    return fields | {name: getattr(resource, name, False) for name in OPTIONS}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
