"""The command's output about engine runs: each in turn, then one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from slipway.engine.results import WORDS, StackResult
from slipway.progress import COUNTED, label, say
from slipway.redaction import redact

SCHEMA = 1
SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "-"}


def details(result: StackResult, console: Console | None = None) -> None:
    """A preview's planned changes, an update's outputs, and all warnings."""
    console = console or Console()
    if result.verb == "preview":
        for step in result.steps:
            keys = f"  [{', '.join(step.keys)}]" if step.keys else ""
            sign = SIGNS[step.operation]
            say(console, f"  {sign} {step.operation} {label(step.urn)}{keys}")
    for name, value in sorted(result.outputs.items()):
        say(console, f"  {result.stack} {name}: {value}")
    for warning in result.warnings:
        say(console, f"  warning: {redact(warning)}")


def previews(results: Sequence[StackResult]) -> str:
    """Previews as JSON text: docs/reference/preview.schema.json."""
    stacks = [
        {
            "stack": one.stack,
            "resources": [asdict(verdict) for verdict in one.verdicts],
            "warnings": [redact(warning) for warning in one.warnings],
        }
        for one in results
    ]
    return json.dumps({"schema_version": SCHEMA, "stacks": stacks}, indent=2) + "\n"


def table(
    verb: str,
    results: Sequence[StackResult],
    failed: Sequence[str] = (),
    not_reached: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print one line per stack: its changes, and how long it took."""
    console = console or Console()
    counted = {kind: _word(verb, kind) for kind in COUNTED}
    lines = Table("stack", box=box.SIMPLE_HEAD)
    for word in [*counted.values(), "seconds"]:
        lines.add_column(word, justify="right", no_wrap=True)
    for result in results:
        counts = [str(result.changes.get(kind, 0) or "-") for kind in counted]
        lines.add_row(result.stack, *counts, f"{result.seconds:.1f}")
    for stack in failed:
        lines.add_row(stack, "failed")
    for stack in not_reached:
        lines.add_row(stack, "not run")
    console.print(lines)
    if results and not failed and not any(result.changed for result in results):
        say(console, "Nothing changed." if verb != "preview" else "Nothing to change.")


def _word(verb: str, kind: str) -> str:
    if verb == "preview" and kind != "same":
        return kind
    return WORDS[kind]
