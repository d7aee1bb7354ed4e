"""`slipway ledger`: what of a model was registered, staged, served and retired.

Not `slipway model`: beside `slipway models`, one letter would decide between a folder
on this machine and a signed entry that stays for ever.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from slipway.ledger import chain, keys, writing
from slipway.ledger.canonical import canonical
from slipway.ledger.card_command import card
from slipway.ledger.entry import Entry, Head
from slipway.ledger.lifecycle import RETIRED
from slipway.ledger.mlflow_command import mlflow
from slipway.ledger.options import (
    ledger_option,
    model_argument,
    require_entries,
    trust_option,
)
from slipway.ledger.store import Store, checked_name
from slipway.printable import printable


@click.group(name="ledger")
def command() -> None:
    """Model versions: register, stage, retire; history, verification, model cards."""


for subcommand in (card, mlflow, *writing.COMMANDS):
    command.add_command(subcommand)


@command.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File for the private key.",
)
def key(out: Path | None) -> None:
    """Create a key that signs entries; never replaces an existing one."""
    path = out or keys.default_key()
    made = keys.make(path)
    click.echo(f"{path}: signs; keep it secret and keep a copy")
    click.echo(
        f"{keys.public_file(path)}: verifies, key {made[:16]}; give it to others"
    )


@command.command()
@model_argument
@ledger_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="File with the audit chain, one entry per line.",
)
@click.pass_context
def history(ctx: click.Context, model: str, ledger: Store, as_json: bool) -> None:
    """Print the entries of model NAME, the oldest first.

    Signatures are not checked here; use `verify`. Exit status 1: the chain is broken;
    the entries before the break are printed.
    """
    found = chain.read(ledger, checked_name(model))
    require_entries(bool(found.entries or found.broken), ledger, model)
    for entry in found.entries:
        click.echo(canonical(entry.content()) if as_json else _line(entry))
    if found.broken:
        click.echo(f"error: {printable(found.broken)}", err=True)
        ctx.exit(1)


@command.command()
@click.argument("models", nargs=-1, metavar="[NAME...]")
@ledger_option
@trust_option
@click.option(
    "--anchor",
    metavar="NUMBER:HASH",
    help="Newest entry as printed by an earlier run; detects a truncated chain.",
)
@click.pass_context
def verify(
    ctx: click.Context,
    models: Sequence[str],
    ledger: Store,
    trust: Sequence[Path],
    anchor: str | None,
) -> None:
    """Verify the chains of models NAME, or of all.

    Signatures, hashes, order, transitions and digests are verified. Prints the newest
    entry of each, which is the next anchor, or the first broken entry. Exit status 1:
    a chain is broken.
    """
    known = _anchor(anchor)
    names = [checked_name(it) for it in models] or ledger.models()
    if known and len(names) != 1:
        raise click.UsageError("--anchor is of one model: name it")
    trusted = keys.load_trusted(trust or [keys.public_file(keys.default_key())])
    require_entries(bool(names), ledger, "any model")
    found = [chain.read(ledger, it, trusted=trusted, anchor=known) for it in names]
    for one in found:
        _verdict(one, ledger)
    ctx.exit(int(any(it.broken or not it.entries for it in found)))


def _anchor(text: str | None) -> Head | None:
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]*:[0-9a-f]{64}", text):
        raise click.BadParameter(
            f"{text!r} is not NUMBER:HASH: give what an earlier run printed as newest",
            param_hint="--anchor",
        )
    return Head.of(text)


def _verdict(found: chain.Chain, ledger: Store) -> None:
    if found.broken:
        click.echo(f"error: {printable(found.broken)}", err=True)
        number = len(found.entries)
        click.echo(f"{found.model}: {number} entries before it are intact", err=True)
    elif found.last is None:
        click.echo(f"error: {ledger}: there are no entries of {found.model}", err=True)
    else:
        number = len(found.entries)
        click.echo(f"{found.model}: {number} entries, intact; newest {found.last.head}")


def _line(entry: Entry) -> str:
    details = entry.details
    text = f"{entry.sequence:4} {entry.time[:19]}Z {details['revision']} "
    text += f"{entry.action} by {entry.actor}"
    if origin := details.get("subject", {}).get("derived_from"):
        text += f", made from {origin.get('revision')} by {origin.get('recipe')}"
    if details.get("from") == RETIRED:
        text += ", which was retired"
    if decision := details.get("decision"):
        text += f", decided {decision.get('time', '')[:19]}Z by {decision.get('by')}"
        if server := decision.get("server"):
            text += f" of {server}"
        if decision.get("differs"):
            text += ", which does not follow from its record"
    if reason := details.get("reason"):
        text += f": {reason}"
    return printable(text)
