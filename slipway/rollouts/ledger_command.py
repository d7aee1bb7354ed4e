"""`slipway rollout record`: copies the controller's decisions into the ledger."""

from __future__ import annotations

from pathlib import Path

import click

from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.ledger.options import stack_ledger_option
from slipway.ledger.store import Store
from slipway.printable import printable
from slipway.rollouts import chain
from slipway.rollouts.options import (
    heads_option,
    model_argument,
    opened,
    stack_option,
)


@click.command("record")
@model_argument
@stack_option
@heads_option
@stack_ledger_option
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Signing key; default: the one that `slipway ledger key` created.",
)
@click.option("--by", metavar="WHO", help="Who copies; default: USER@HOST.")
@click.option(
    "--since",
    default="",
    metavar="DECISION",
    help="First decision to copy; what was entered by hand stands for those before it.",
)
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="DECISION",
    help="Copy a decision that does not follow from its record, with a note; may be "
    "repeated.",
)
def record_command(
    model: str,
    stack: str,
    *,
    heads: tuple[str, ...],
    ledger: Store | None,
    key: Path | None,
    by: str | None,
    since: str,
    accepted: tuple[str, ...],
) -> None:
    """Copy verified decisions into the model ledger, signed by your key.

    An entry is added for each revision that a decision has brought into another state;
    may be repeated. Exit status 1: the records are not intact, or a decision does not
    follow from its record; 2: something is missing or not clear. Nothing was copied.
    """
    # Signatures take their time to import.
    from slipway.ledger import keys, staged, writing
    from slipway.ledger.ledger import Ledger
    from slipway.rollouts import ledger_plan, to_ledger

    with opened(stack, model) as live:
        status, entries = live.record()
        server = f"{stack}/{live.names.namespace}/{live.names.server}"
    checked = chain.check(entries, status, heads)
    if checked.fault:
        fault = f"{printable(checked.fault)}; nothing was recorded"
        click.echo(f"{model}: {fault}", err=True)
        raise click.exceptions.Exit(1)
    settings = stack_settings.load(stack, ModelsSettings)
    name = settings.models[model].served(model)
    writer = Ledger(
        ledger or staged.store(settings.ledger),
        keys.load_private(key or keys.default_key()),
    )
    found = to_ledger.decisions(entries, status)
    moves = ledger_plan.plan(
        writer.read(name), found, server, since=since, accepted=accepted
    )
    added = 0
    for one in moves:
        word = writing.word(by, one.decision.reason, (), ())
        done = writer.move(name, one.revision, one.state, word, decision=one.details)
        writing.print_result(done)
        added += done.is_new
    outcome = f"{added} entries added" if added else "nothing to add"
    click.echo(f"{name}: {len(found)} decisions, {outcome}")
