"""`slipway experiment`: an experiment's report, and orders that end or extend it."""

from __future__ import annotations

import json
from typing import Any

import click
from rollout.status import OrderKind

from slipway.cluster.kube_api import KubeApiError
from slipway.experiments import live as experiments
from slipway.experiments import show
from slipway.experiments.live import Found, Report
from slipway.printable import printable
from slipway.rollouts.command import order
from slipway.rollouts.options import (
    despite_replicas_option,
    json_option,
    model_argument,
    opened,
    stack_option,
    why_option,
)

FOR_CONTROL = ("worse", "no_difference")
"""Verdicts in favour of the control."""


@click.group(name="experiment")
def command() -> None:
    """A/B experiments: their report, and how they end.

    MODEL is a model server with `experiment` in its settings
    (docs/how-to/experiments.md).
    """


@command.command("status")
@model_argument
@stack_option
@json_option
def status_command(model: str, stack: str, *, as_json: bool) -> None:
    """Show the report: verdict, intervals, units and their shares."""
    found, report, why_not = _read(model, stack)
    if as_json:
        click.echo(json.dumps(show.plain(found, report, why_not), sort_keys=True))
        return
    for line in show.lines(found, report, why_not):
        click.echo(line)


@command.command("stop")
@model_argument
@stack_option
@why_option
@json_option
def stop_command(model: str, stack: str, why: str, *, as_json: bool) -> None:
    """Give all requests to the control, whatever the report says."""
    _read(model, stack, reported=False)
    order(model, stack, OrderKind.BACK, why, as_json=as_json)


@command.command("extend")
@model_argument
@stack_option
@why_option
@json_option
def extend_command(model: str, stack: str, why: str, *, as_json: bool) -> None:
    """Restart the experiment's days now.

    Callers keep their revision, and earlier counts remain valid. The planned units of a
    group-sequential experiment stay as they are: more of them would need another plan.
    """
    found, _, _ = _read(model, stack, reported=False)
    if not found.runs:
        raise click.ClickException(
            f"{model}: the treatment does not have its share of the requests, so there "
            "is nothing to extend; see `slipway experiment status`"
        )
    order(model, stack, OrderKind.RESUME, why, as_json=as_json)


@command.command("conclude")
@model_argument
@stack_option
@why_option
@json_option
@click.option(
    "--winner", required=True, metavar="REVISION", help="It gets all requests."
)
@click.option(
    "--despite-verdict",
    is_flag=True,
    help="Also if the report does not say that it has won.",
)
@despite_replicas_option
def conclude_command(
    model: str,
    stack: str,
    why: str,
    *,
    as_json: bool,
    winner: str,
    despite_verdict: bool,
    despite_replicas: bool,
) -> None:
    """Give all requests to the revision that has won.

    The record contains the verdict, its numbers and the reason. Remove `experiment`
    from the settings afterwards.
    """
    found, report, why_not = _read(model, stack)
    plan = found.plan
    if winner not in (plan["control"], plan["treatment"]):
        raise click.ClickException(
            f"{model}: {winner} is not in the experiment; give --winner "
            f"{plan['control']} or {plan['treatment']}"
        )
    verdict = report["verdict"] if report else "unknown"
    wins = ("better",) if winner == plan["treatment"] else FOR_CONTROL
    if verdict not in wins and not despite_verdict:
        reason = report["reason"] if report else why_not
        raise click.ClickException(
            f"{model}: the report does not say that {winner} has won: "
            f"{verdict.replace('_', ' ')}, {printable(reason)}; wait, or give "
            "--despite-verdict"
        )
    kind = OrderKind.PROMOTE if winner == plan["treatment"] else OrderKind.BACK
    text = f"{why} [{_summary(verdict, report)}]"
    order(
        model,
        stack,
        kind,
        text,
        as_json=as_json,
        weight=_weight(kind),
        despite_replicas=despite_replicas,
    )


def _weight(kind: OrderKind) -> int:
    """Return the treatment's percentage of the requests."""
    return 100 if kind is OrderKind.PROMOTE else 0


def _summary(verdict: str, report: Report | None) -> str:
    """Return the evidence as text for the record."""
    looks = report["metrics"][0]["looks"] if report else []
    if not report or not looks:
        return f"experiment: {verdict}"
    last: dict[str, Any] = looks[-1]
    estimate = ", ".join(
        f"{name} {'not known' if last[name] is None else format(last[name], '.6g')}"
        for name in ("difference", "low", "high")
    )
    return (
        f"experiment: {verdict}, {report['metrics'][0]['name']}, {estimate}, "
        f"{last['units']} units"
    )


def _read(
    model: str, stack: str, *, reported: bool = True
) -> tuple[Found, Report | None, str]:
    """Read the experiment, and its report or why there is none."""
    with opened(stack, model) as live:
        found = experiments.read(live)
        if not reported:
            return found, None, ""
        try:
            return found, experiments.report(live, found), ""
        except KubeApiError as error:
            return found, None, str(error)
