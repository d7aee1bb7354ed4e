"""`slipway check`: stacks held to the rules in policies/, without engine or cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from toolchain import paths
from toolchain.errors import FAILED

NAMES = ("text", "json", "sarif", "github", "gitlab")


@click.command(name="check")
@click.argument("stacks", nargs=-1, metavar="[STACK...]")
@click.option("--all", "everything", is_flag=True, help="All stacks that have a file.")
@click.option(
    "--format",
    "form",
    type=click.Choice(NAMES),
    default="text",
    show_default=True,
    help="Output format: for people, programs, or a code host.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File for the output; the text goes to standard output.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="An images.lock, for rules about where images come from.",
)
@click.option(
    "--production", is_flag=True, help="Check each stack as if it were in production."
)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
def command(
    stacks: Sequence[str],
    form: str,
    out: Path | None,
    images: Path | None,
    *,
    everything: bool,
    production: bool,
    strict: bool,
) -> None:
    """Check STACKs against the rules in policies/.

    The stacks are rendered, without a cluster or account. A violation is an error in
    production and a warning elsewhere. The exit status is 0, 1 if there are errors, or
    2 if settings or rules are invalid.
    """
    from components.security import rules
    from slipway.policy import check, views
    from slipway.policy.evaluation import Evaluator
    from slipway.rendering import placeholders

    names = list(dict.fromkeys((*stacks, *(check.stacks() if everything else ()))))
    if not names:
        raise click.UsageError("give a STACK, or --all")
    listed = rules.load()
    evaluator = Evaluator(listed)
    places = dict.fromkeys((paths.ROOT, paths.PROJECT))
    references = {k: v for p in places for k, v in placeholders.images(p).items()}
    if images:
        references = json.loads(images.read_text())
    today = datetime.now(tz=UTC).date()
    verdicts = [
        check.check(
            *(name, evaluator, references),
            today=today,
            production=True if production else None,
        )
        for name in names
    ]
    written = views.FORMATS[form](verdicts, listed)
    if out is not None:
        out.write_text(written)
        written = views.text(verdicts, listed)
    click.echo(written, nl=False)
    if any(v.errors or (strict and v.open) for v in verdicts):
        raise click.exceptions.Exit(FAILED)
