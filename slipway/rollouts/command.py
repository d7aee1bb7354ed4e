"""`slipway rollout`: what a rollout does, a person's orders, and decisions verified."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from rollout import explain, orders, record
from rollout.facts import Ready
from rollout.protocol import give
from rollout.record import Entry
from rollout.settings import Settings
from rollout.status import Order, OrderKind, Phase, Status

from slipway.printable import lines, printable
from slipway.rollouts import chain, show
from slipway.rollouts.ledger_command import record_command
from slipway.rollouts.live import Live, State
from slipway.rollouts.options import (
    despite_replicas_option,
    heads_option,
    json_option,
    model_argument,
    opened,
    stack_option,
    why_option,
)
from toolchain.errors import INTERRUPTED

WATCH_SECONDS = 2.0
OBEY_SECONDS = 60.0
"""Seconds that an order waits for the controller, which looks every 15 s."""
POLL_SECONDS = 0.5

sleep: Callable[[float], None] = time.sleep


@click.group(name="rollout")
def command() -> None:
    """Rollouts of new revisions: status, orders, verification of decisions.

    MODEL is a model server with `rollout` in its settings (docs/how-to/rollouts.md).
    """


command.add_command(record_command)


@command.command("status")
@model_argument
@stack_option
@json_option
@click.option(
    "--watch", is_flag=True, help="Follow until the rollout ends, or until Ctrl-C."
)
def status_command(model: str, stack: str, *, as_json: bool, watch: bool) -> None:
    """Show the weights, the step, and the result of each gate."""
    with opened(stack, model) as live:
        if not watch:
            _print(live.state(), as_json=as_json)
            return
        try:
            _watch(live, as_json=as_json)
        except KeyboardInterrupt:  # it goes on without anybody who looks
            raise click.exceptions.Exit(INTERRUPTED) from None


def _print(state: State, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(show.plain(state), sort_keys=True))
        return
    for line in show.lines(state):
        click.echo(line)


def _watch(live: Live, *, as_json: bool) -> None:
    """With JSON a line for each look, else one picture that is drawn anew."""
    from rich.live import Live as Picture
    from rich.text import Text

    if as_json:
        while _goes_on(state := live.state()):
            _print(state, as_json=True)
            sleep(WATCH_SECONDS)
        _print(state, as_json=True)
        return
    with Picture(auto_refresh=False) as picture:
        while True:
            state = live.state()
            picture.update(Text("\n".join(show.lines(state))), refresh=True)
            if not _goes_on(state):
                return
            sleep(WATCH_SECONDS)


def _goes_on(state: State) -> bool:
    status = state.status
    return status is None or status.phase is Phase.RUNNING or show.is_next(state)


def order(
    model: str,
    stack: str,
    kind: OrderKind,
    why: str,
    *,
    as_json: bool,
    weight: int = 0,
    despite_replicas: bool = False,
) -> None:
    """Gives an order and waits until the controller has carried it out.

    ClickException if a promotion needs more ready replicas, unless `despite_replicas`.
    """
    with opened(stack, model) as live:
        percent = _weight(live, kind, weight)
        if kind is OrderKind.PROMOTE and not despite_replicas:
            percent = partial(_with_replicas, percent, live.settings(), live.ready())
        who = _user_names(live)
        try:
            given = live.run(give(kind, who=who, why=why, weight=percent))
        except LookupError as error:
            raise click.ClickException(f"{model}: {error}") from None
        done = _await(live, given)
    if as_json:
        order = {"order": given.number, "kind": kind.value, "who": who, "why": why}
        found = order | {"done": bool(done), "weight": done.weight if done else None}
        click.echo(json.dumps(found, sort_keys=True))
    elif done and kind is OrderKind.APPROVE:
        click.echo(
            f"{model}: {given.weight} % is approved; the new revision has "
            f"{done.weight} %. The gates take the step and go on deciding."
        )
    elif done:
        click.echo(f"{model}: {kind.value}: the new revision has {done.weight} %.")
        if given.stands:
            click.echo("It stays so until `slipway rollout resume`.")
    else:
        click.echo(
            f"{model}: {kind.value} is given: no earlier decision moves the weights. "
            f"The controller has not carried it out within {OBEY_SECONDS:.0f} s: see "
            "`slipway rollout status`.",
            err=True,
        )
    if not done:
        raise click.exceptions.Exit(1)


def _weight(live: Live, kind: OrderKind, weight: int) -> int | Callable[[Status], int]:
    """Return the order's weight, or how it follows from the status that it replaces.

    The route would not do: a decision that is made meanwhile moves its weights.
    """
    if kind is OrderKind.APPROVE:
        return partial(orders.to_approve, live.settings())
    if kind is not OrderKind.PROMOTE or weight:
        return weight or 100
    state = live.state()
    settings, status = state.settings, state.status
    found = state.route.weight(settings)
    if found is None:
        raise click.ClickException(
            f"the route does not divide 100 % among {settings.stable} and "
            f"{settings.canary}: give --weight"
        )
    is_settled = status and not status.intent and not show.is_next(state)
    if status and is_settled and found != status.weight:
        raise click.ClickException(
            f"others have changed the canary's weight from {status.weight} to {found}, "
            "so no step follows: give --weight"
        )
    return partial(orders.to_promote, settings)


def _with_replicas(
    weight: int | Callable[[Status], int],
    settings: Settings,
    ready: Ready,
    status: Status,
) -> int:
    percent = weight(status) if callable(weight) else weight
    return orders.with_replicas(percent, settings, status, ready)


def _user_names(live: Live) -> str:
    """The account here and the one that the API server knows."""
    found = live.api.user()
    return f"{getpass.getuser()} ({found})" if found else getpass.getuser()


def _await(live: Live, order: Order) -> Status | None:
    """The status once the order has been carried out; None if it takes too long.

    ClickException if a newer order calls it off.
    """
    for _ in range(round(OBEY_SECONDS / POLL_SECONDS)):
        status = live.status()
        if status and status.order_done == order.number:
            return status
        if status and status.order and status.order.number > order.number:
            newer = status.order
            raise click.ClickException(
                f"{live.names.server}: {order.kind.value} is called off by order "
                f"{newer.number} of {printable(newer.who)}: {newer.kind.value}; see "
                "`slipway rollout status`"
            )
        sleep(POLL_SECONDS)
    return None


@command.command("pause")
@model_argument
@stack_option
@why_option
@json_option
def pause_command(model: str, stack: str, why: str, *, as_json: bool) -> None:
    """Pause the rollout: keep the weights until `resume`."""
    order(model, stack, OrderKind.PAUSE, why, as_json=as_json)


@command.command("resume")
@model_argument
@stack_option
@why_option
@json_option
def resume_command(model: str, stack: str, why: str, *, as_json: bool) -> None:
    """Resume the rollout with the current settings and weights.

    Counts and the deadline start again.
    """
    order(model, stack, OrderKind.RESUME, why, as_json=as_json)


@command.command("promote")
@model_argument
@stack_option
@why_option
@json_option
@click.option(
    "--weight",
    type=click.IntRange(1, 100),
    metavar="PERCENT",
    help="Share of the requests; default: that of the next step.",
)
@despite_replicas_option
def promote_command(
    model: str,
    stack: str,
    why: str,
    *,
    as_json: bool,
    weight: int | None,
    despite_replicas: bool,
) -> None:
    """Give the new revision the next step's weight, regardless of the gates."""
    order(
        model,
        stack,
        OrderKind.PROMOTE,
        why,
        as_json=as_json,
        weight=weight or 0,
        despite_replicas=despite_replicas,
    )


@command.command("approve")
@model_argument
@stack_option
@why_option
@json_option
def approve_command(model: str, stack: str, why: str, *, as_json: bool) -> None:
    """Approve the next step; the gates take it, and can take it back.

    Any later order ends the approval.
    """
    order(model, stack, OrderKind.APPROVE, why, as_json=as_json)


@command.command("back")
@model_argument
@stack_option
@why_option
@json_option
def back_command(model: str, stack: str, why: str, *, as_json: bool) -> None:
    """Roll back: give all requests to the previous revision."""
    order(model, stack, OrderKind.BACK, why, as_json=as_json)


@command.command("explain")
@model_argument
@stack_option
@json_option
@click.option("--entry", metavar="ID", help="A decision; default: the newest one.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The decision's entry, instead of the cluster's.",
)
def explain_command(
    model: str, stack: str, *, as_json: bool, entry: str | None, file: Path | None
) -> None:
    """Recompute a decision from its record alone, and show its evidence.

    Exit status 1: the recorded decision does not follow from its facts.
    """
    try:
        found = explain.read(file) if file else _entry(model, stack, entry)
        outcome, differences = record.recompute(found)
        text = "\n".join(explain.lines(found, outcome, differences))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise click.ClickException(
            f"{file or entry or model}: not the record of a decision "
            f"({printable(repr(error))})"
        ) from None
    if as_json:
        click.echo(
            json.dumps(show.explained(found, outcome, differences), sort_keys=True)
        )
    else:
        click.echo(lines(text))
    if differences:
        raise click.exceptions.Exit(1)


@command.command("verify")
@model_argument
@stack_option
@json_option
@heads_option
def verify_command(
    model: str, stack: str, *, as_json: bool, heads: tuple[str, ...]
) -> None:
    """Verify that the records of all decisions are there and unchanged.

    Exit status 1: an entry is missing, changed or unlinked.
    """
    with opened(stack, model) as live:
        status, entries = live.record()
    found = chain.check(entries, status, heads)
    if as_json:
        click.echo(json.dumps(found.plain(), sort_keys=True))
    elif not found.fault:
        said = f"{found.linked} decisions, head {found.head}"
        click.echo(f"{model}: {said if found.linked else 'no decisions yet'}")
    else:
        click.echo(f"{model}: {printable(found.fault)}", err=True)
    if found.fault:
        raise click.exceptions.Exit(1)


def _entry(model: str, stack: str, wanted: str | None) -> Entry:
    with opened(stack, model) as live:
        found = {str(one["id"]): one for one in live.entries()}
    if not found:
        raise click.ClickException(f"{model} has no decisions yet")
    if wanted and wanted not in found:
        known = ", ".join(printable(one) for one in [*found][-5:])
        raise click.ClickException(f"{model} has no decision {wanted}; newest: {known}")
    return found[wanted or [*found][-1]]
