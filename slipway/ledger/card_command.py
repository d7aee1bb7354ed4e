"""`slipway ledger card`: a revision's model card, and what it lacks for production."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.ledger import card_text, cyclonedx, figures
from slipway.ledger.card import collect
from slipway.ledger.options import ledger_option
from slipway.ledger.store import Store
from toolchain.errors import OperatorError

FORMATS = {"cyclonedx": cyclonedx.text, "markdown": card_text.text}


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@ledger_option
@click.option(
    "--figures",
    "figures_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with more metrics: a JSON list of type, value, slice, lower, upper.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(sorted(FORMATS)),
    default="cyclonedx",
    help="CycloneDX 1.7 JSON (the default) or a page.",
)
@click.option(
    "--check",
    type=click.Choice(["prod"]),
    help="Print only what the card lacks for production; exit with 1 if anything.",
)
def card(
    folder: Path,
    ledger: Store,
    figures_file: Path | None,
    format_: str,
    check: str | None,
) -> None:
    """Print the card of the model in FOLDER.

    It is generated from model.yaml (with human statements below `about`),
    reference.json and the ledger. Missing facts appear as "not stated".
    """
    more = figures.of_file(figures_file) if figures_file else []
    found = collect(folder, ledger, more)
    if not check:
        click.echo(FORMATS[format_](found), nl=False)
        return
    if problems := found.missing():
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise OperatorError(f"{folder}: the card lacks {len(problems)}:{lines}")
    click.echo(f"{found.model} {found.revision}: the card has all that prod asks for")
