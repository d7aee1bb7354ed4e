"""`slipway drift`: differences from the engine's state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

DRIFTED, UNCHECKED = 1, 2


@click.command(name="drift")
@click.argument("stacks", nargs=-1, required=True, metavar="STACK...")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON in place of Markdown."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write JSON, Markdown, SARIF and code hosts' forms into DIR too.",
)
def command(stacks: Sequence[str], *, as_json: bool, out: Path | None) -> None:
    """Show what others changed or deleted of STACKS since they were last applied.

    The engine reads each resource of the state and compares; the programs are not run.
    Neither the resources nor the state are changed. The exit status is 0 where nothing
    has drifted, 1 where something has, and 2 where a stack could not be checked.
    """
    from rich.console import Console

    from slipway.drift import checking, markdown, reading, views

    console = Console(stderr=True)
    names = list(dict.fromkeys(stacks))
    report = checking.check(names, lambda stack: reading.read(stack, console))
    texts = json.dumps(report.as_json(), indent=2) + "\n", markdown.text(report)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in zip(("drift.json", "drift.md"), texts, strict=True):
            (out / name).write_text(text)
        for name, view in views.FILES.items():
            (out / name).write_text(view(report))
    click.echo(texts[0] if as_json else texts[1], nl=False)
    if report.unchecked:
        raise click.exceptions.Exit(UNCHECKED)
    if report.changed:
        raise click.exceptions.Exit(DRIFTED)
