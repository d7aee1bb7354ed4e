"""Commands that add an entry to the ledger."""

from __future__ import annotations

import functools
import getpass
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from slipway.ledger import keys, subject
from slipway.ledger.ledger import Done, Ledger, Word
from slipway.ledger.lifecycle import RETIRED, STATES
from slipway.ledger.options import FILE, ledger_option, model_argument
from slipway.ledger.store import Store, checked_name
from slipway.printable import printable

OPTIONS = (
    ledger_option,
    click.option(
        "--key",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Signing key; default: the one that `slipway ledger key` created.",
    ),
    click.option(
        "--by", metavar="WHO", help="Author of the entry; default: USER@HOST."
    ),
    click.option(
        "--approved-by",
        "approvals",
        multiple=True,
        metavar="WHO",
        help="Approver; repeatable.",
    ),
    click.option(
        "--evidence",
        multiple=True,
        type=FILE,
        metavar="FILE",
        help="Report whose digest is recorded; repeatable.",
    ),
)
why_option = click.option(
    "--why", required=True, metavar="TEXT", help="Reason, for the audit trail."
)
revision_argument = click.argument("revision")


def _adds(command: Callable[..., Done]) -> Callable[..., None]:
    """Give a command the options of all that add an entry, a ledger and a word."""

    @functools.wraps(command)
    def run(*, ledger: Store, key: Path | None, **given: Any) -> None:
        writer = Ledger(ledger, keys.load_private(key or keys.default_key()))
        said = {it: given.pop(it) for it in ("by", "why", "approvals", "evidence")}
        print_result(command(writer, word(**said), **given))

    return with_options(run)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of all that add an entry."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def word(
    by: str | None, why: str, approvals: Sequence[str], evidence: Sequence[Path]
) -> Word:
    """Return the options' author and reason; the default author is USER@HOST."""
    by = by or f"{getpass.getuser()}@{platform.node()}"
    return Word(by, why, approvals, subject.evidence(evidence))


@click.command()
@model_argument
@click.option("--revision", default="", help="Default: that of FOLDER's model.yaml.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="The model folder, whose files' digests are recorded.",
)
@click.option(
    "--image",
    default="",
    metavar="NAME@sha256:...",
    help="Image that contains the model.",
)
@click.option(
    "--commit", default="", metavar="HASH", help="Commit of the training code."
)
@click.option(
    "--parent", default="", metavar="REVISION", help="Revision that it replaces."
)
@click.option("--why", default="", metavar="TEXT", help="Intended use of the model.")
@_adds
def register(ledger: Ledger, word: Word, **given: Any) -> Done:
    """Bind a revision of model NAME to its digests permanently."""
    checked_name(given["model"])
    revision, content = subject.describe(subject.Given(**given))
    return ledger.register(given["model"], revision, content, word)


@click.command()
@model_argument
@revision_argument
@why_option
@_adds
def stage(ledger: Ledger, word: Word, model: str, revision: str) -> Done:
    """Record that REVISION of model NAME may be deployed.

    A revision that is already in shadow, canary or serving stays there.
    """
    return ledger.stage(checked_name(model), revision, word)


@click.command()
@model_argument
@revision_argument
@why_option
@_adds
def retire(ledger: Ledger, word: Word, model: str, revision: str) -> Done:
    """Record that REVISION of model NAME will not be used again."""
    return ledger.move(checked_name(model), revision, RETIRED, word)


@click.command()
@model_argument
@revision_argument
@click.argument("state", type=click.Choice(STATES[1:]))
@why_option
@_adds
def move(ledger: Ledger, word: Word, model: str, revision: str, state: str) -> Done:
    """Record that REVISION of model NAME has entered STATE.

    From shadow, canary or serving, a revision returns to `staged`.
    """
    return ledger.move(checked_name(model), revision, state, word)


COMMANDS = (register, stage, move, retire)


def print_result(done: Done) -> None:
    entry = done.entry
    already = "" if done.is_new else "already "
    details = entry.details
    click.echo(
        printable(
            f"{details['model']} {details['revision']}: {already}{details['state']}, "
            f"entry {entry.head}"
        )
    )
