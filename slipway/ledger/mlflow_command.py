"""`slipway ledger mlflow`: aliases of models in MLflow, states in the ledger."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from slipway.ledger import chain, keys, mlflow_export, mlflow_import, writing
from slipway.ledger.ledger import Ledger
from slipway.ledger.lifecycle import STAGED, History
from slipway.ledger.mlflow_match import (
    ALIASES,
    REGISTERED_MODEL,
    chosen_aliases,
    tags,
)
from slipway.ledger.mlflow_server import CREDENTIALS, MlflowServer
from slipway.ledger.options import ledger_option, model_argument, require_entries
from slipway.ledger.store import Store, checked_name
from slipway.printable import printable
from toolchain.errors import OperatorError, WrongInputError

DEFAULT = ", ".join(f"{state}={alias}" for state, alias in ALIASES.items())
OPTIONS = (
    click.option(
        "--server",
        required=True,
        envvar="MLFLOW_TRACKING_URI",
        metavar="URL",
        help="MLflow's address; default: MLFLOW_TRACKING_URI.",
    ),
    click.option(
        "--registered-model",
        "registered",
        default="",
        metavar="NAME",
        help="The model's name in MLflow; default: the same.",
    ),
    click.option(
        "--dry-run", is_flag=True, help="Print the plan; change and write nothing."
    ),
)
alias_option = click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="STATE=ALIAS",
    help=f"An alias to use, and no others; repeatable. Default: {DEFAULT}.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def _talks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all that ask MLflow, a server and both names."""

    @functools.wraps(command)
    def run(*, model: str, server: str, registered: str, **rest: Any) -> None:
        registered = registered or checked_name(model)
        if not REGISTERED_MODEL.fullmatch(registered):
            raise WrongInputError(
                f"--registered-model: {printable(registered)!r} is not a name that "
                "MLflow takes; it has no quotes, slashes or colons"
            )
        with MlflowServer(server) as opened:
            command(
                model=checked_name(model), server=opened, registered=registered, **rest
            )

    added: Callable[..., None] = run
    for option in reversed(OPTIONS):
        added = option(added)
    return added


@click.group(
    help="Link versions in MLflow to revisions; export states as aliases, import them."
    "\n\nA version in MLflow is a revision if its tag slipway.digest has the "
    f"revision's digest. Credentials are read from the environment: {CREDENTIALS}."
)
def mlflow() -> None:
    """Versions and aliases of a registered model in MLflow."""


@mlflow.command()
@model_argument
@writing.revision_argument
@click.argument("version", metavar="VERSION")
@ledger_option
@_talks
def link(
    *,
    model: str,
    revision: str,
    version: str,
    ledger: Store,
    server: MlflowServer,
    registered: str,
    dry_run: bool,
) -> None:
    """Tag VERSION of model NAME in MLflow as REVISION of the ledger.

    A tag that has another value is never replaced.
    """
    history = _history(ledger, model)
    found = history.revisions.get(revision)
    if found is None:
        raise WrongInputError(history.refusal(revision, STAGED))
    wanted = tags(found)
    # MLflow keeps empty tags, which say nothing.
    there = {k: v for k, v in server.version(registered, version).tags.items() if v}
    other = [it for it in wanted if there.get(it, wanted[it]) != wanted[it]]
    if other:
        lines = "".join(
            f"\n  {it}: {printable(there[it])}, and {revision} has {wanted[it]}"
            for it in other
        )
        raise WrongInputError(
            f"{registered} version {version} is tagged as another revision; nothing "
            f"was changed, remove wrong tags in MLflow:{lines}"
        )
    for key, text in wanted.items():
        if key in there:
            _say(f"{key}: {text}, as it is")
        elif dry_run:
            _say(f"{key}: would be {text}")
        else:
            server.set_tag(registered, version, key, text)
            _say(f"{key}: set to {text}")


@mlflow.command()
@model_argument
@ledger_option
@_talks
@alias_option
@yes_option
def export(
    *,
    model: str,
    ledger: Store,
    server: MlflowServer,
    registered: str,
    dry_run: bool,
    aliases: Sequence[str],
    yes: bool,
) -> None:
    """Set aliases of model NAME in MLflow to what the ledger says.

    An alias names the revision that entered the state last. Where no revision is in the
    state, the alias is deleted if it names a revision of the ledger.
    """
    wanted = chosen_aliases(aliases)
    history = _history(ledger, model)
    now, versions = server.aliases(registered), server.versions(registered)
    targets = mlflow_export.plan(history, wanted, now, versions)
    for target in targets:
        _say(target.line)
    changes = [it for it in targets if it.differs]
    if _goes_on(
        len(changes), f"Change aliases of {registered} at {server}", dry_run, yes
    ):
        for change in changes:
            _say(change.apply(server, registered))


@mlflow.command(name="import")
@model_argument
@writing.why_option
@writing.with_options
@_talks
@alias_option
@yes_option
def import_(
    *,
    model: str,
    ledger: Store,
    server: MlflowServer,
    registered: str,
    dry_run: bool,
    aliases: Sequence[str],
    yes: bool,
    key: Path | None,
    **said: Any,
) -> None:
    """Record in the ledger what aliases of model NAME in MLflow say.

    Each difference becomes an entry by the ledger's own rules, with your name and
    reason. If one alias cannot be followed, nothing is written.
    """
    wanted = chosen_aliases(aliases)
    word = writing.word(**said)
    if not word.reason.strip():
        raise WrongInputError(f"{model}: there is no reason; say it with --why")
    history = _history(ledger, model)
    now = server.aliases(registered)
    named = {
        it: server.version(registered, now[it]) for it in wanted.values() if it in now
    }
    plan = mlflow_import.plan(history, wanted, named)
    for line in (*(it.line for it in plan.moves), *plan.same):
        _say(line)
    count = len(plan.moves)
    if not _goes_on(count, f"Write {count} entries to {ledger}", dry_run, yes):
        return
    writer = Ledger(ledger, keys.load_private(key or keys.default_key()))
    for move in plan.moves:
        reason = f"{word.reason} (MLflow {server}: {move.source} of {registered})"
        grounds = replace(word, reason=reason)
        done = writer.move(
            model, move.revision, move.state, grounds, passed=move.passed
        )
        writing.print_result(done)


def _history(ledger: Store, model: str) -> History:
    found = chain.read(ledger, model)
    if found.broken:
        raise OperatorError(
            f"{found.broken}; nothing was changed: see `slipway ledger verify`"
        )
    require_entries(bool(found.entries), ledger, model)
    return found.history


def _goes_on(changes: int, question: str, dry_run: bool, yes: bool) -> bool:
    """Return whether to carry out a plan that has been printed."""
    if not changes:
        _say("nothing to change")
        return False
    if dry_run:
        _say(f"{changes} to change; nothing was changed (--dry-run)")
        return False
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to confirm on: give --yes")
    click.confirm(f"{question}?", abort=True)
    return True


def _say(line: str) -> None:
    click.echo(printable(line))
