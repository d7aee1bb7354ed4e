"""`slipway doctor STACK`: problems that an apply would have."""

from __future__ import annotations

import json
import logging

import click
from rich import box
from rich.console import Console
from rich.table import Table

from slipway import redaction
from slipway.account import Account
from slipway.doctor import examination, plan, pods
from slipway.doctor.findings import Report, worst
from stacks import layers

SUBJECT_WIDTH = 32
SIGNS = {
    "good": "[green]good[/green]",
    "problem": "[bold red]problem[/bold red]",
    "unknown": "[yellow]unknown[/yellow]",
}


@click.command(name="doctor")
@click.argument("stack", metavar="STACK")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("-v", "--verbose", is_flag=True, help="Show each call to AWS.")
@click.pass_context
def command(context: click.Context, stack: str, as_json: bool, verbose: bool) -> None:
    """Check what STACK will need; changes nothing.

    cluster.<environment>: checks the AWS account, with read-only calls, for problems of
    an apply: credentials, permissions, quotas, zones, reservations, images, versions,
    address ranges.

    Any other layer: explains for each pending pod in its cluster why no pool gives it a
    node.

    Exit status: 0 no problems, 1 problems, 2 something could not be checked.
    """
    if verbose:
        stream = redaction.handler(logging.StreamHandler())
        logging.getLogger("slipway.doctor").addHandler(stream)
        logging.getLogger("slipway.doctor").setLevel(logging.INFO)
    of_cluster = layers.split(stack)[0] == layers.CLUSTER
    report = _of_cluster(stack) if of_cluster else pods.examine(stack)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        show(report, Console())
    context.exit(report.exit_status)


def _of_cluster(stack: str) -> Report:
    planned = plan.of_stack(stack)
    account = Account(planned.region)
    with Console(stderr=True).status("") as status:
        return examination.examine(
            planned, account, lambda name: status.update(f"asking about {name}")
        )


def show(report: Report, console: Console) -> None:
    """The report as a table, problems first, and one line of sums."""
    console.print(
        f"{report.stack}: account {report.account}, {report.region}"
        if report.account
        else report.stack,
        highlight=False,
        markup=False,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("status", no_wrap=True)
    table.add_column("check, subject", max_width=SUBJECT_WIDTH, overflow="fold")
    table.add_column("what was seen, and what to do", overflow="fold")
    for finding in worst(report.findings):
        text = redaction.redact(finding.detail)
        fix = redaction.redact(finding.fix)
        table.add_row(
            SIGNS[finding.status],
            f"{finding.check}\n{_plain(redaction.redact(finding.subject))}",
            _plain(text) + (f"\n[dim]fix:[/dim] {_plain(fix)}" if fix else ""),
        )
    console.print(table)
    counts = report.counts
    console.print(
        f"{counts['good']} good, {counts['problem']} problems, "
        f"{counts['unknown']} could not be looked at; nothing was changed",
        highlight=False,
    )


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
