"""`slipway ledger card`: a revision's model card, and what it lacks for production."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from slipway.ledger import card_html, card_text, cyclonedx, figures, keys
from slipway.ledger.card import collect
from slipway.ledger.options import ledger_option, trust_option
from slipway.ledger.store import Store
from toolchain.errors import OperatorError

FORMATS = {
    "cyclonedx": cyclonedx.text,
    "html": card_html.text,
    "markdown": card_text.text,
}


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
    help="CycloneDX 1.7 JSON (the default), or a page in HTML or Markdown.",
)
@click.option(
    "--check",
    type=click.Choice(["prod"]),
    help="Print only what the card lacks for production; exit with 1 if anything.",
)
@trust_option
def card(
    folder: Path,
    ledger: Store,
    *,
    figures_file: Path | None,
    format_: str,
    check: str | None,
    trust: Sequence[Path],
) -> None:
    """Print the card of the model in FOLDER.

    It is generated from model.yaml (with human statements below `about`),
    reference.json and the ledger. Missing facts appear as "not stated". The ledger's
    signatures are verified with --check or --trust.
    """
    more = figures.of_file(figures_file) if figures_file else []
    trusted = _trusted(trust) if check or trust else None
    found = collect(folder, ledger, more, trusted)
    if not check:
        click.echo(FORMATS[format_](found), nl=False)
        return
    if problems := found.missing():
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise OperatorError(f"{folder}: the card lacks {len(problems)}:{lines}")
    click.echo(f"{found.model} {found.revision}: the card has all that prod asks for")


def _trusted(files: Sequence[Path]) -> dict[str, Ed25519PublicKey]:
    """The keys of the files, else the user's own; who has none trusts nobody."""
    own = keys.public_file(keys.default_key())
    return keys.load_trusted(files or [it for it in [own] if it.exists()])
