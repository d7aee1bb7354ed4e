"""`slipway jobs`: the jobs of a stack and their runs."""

from __future__ import annotations

import json

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from components.training.settings import JobsSettings
from slipway import stack_settings
from slipway.cluster.kube_api import Object
from slipway.jobs import emr_command, emr_runs, showing, state
from slipway.jobs.emr_runs import EmrRuns
from slipway.jobs.row import Row
from slipway.jobs.runs import ENDED, Runs, condition, job_of
from slipway.logs.line import moment
from slipway.printable import printable

NONE = "-"


def rows(runs: Runs, jobs: list[str]) -> list[Row]:
    """Every run by job, the newest last; jobs without one, too."""
    found: dict[str, list[Row]] = {job: [] for job in jobs}
    for run in runs.all():
        name = job_of(run)
        if name in found:
            found[name].append(_row(runs, name, run))
    return [
        row
        for job, of_job in found.items()
        for row in of_job or [Row(job, "", "has not run", "", None)]
    ]


def _row(runs: Runs, job: str, run: Object) -> Row:
    name, status = run["metadata"]["name"], run.get("status", {})
    started, ended = status.get("startTime") or "", status.get("completionTime")
    if over := condition(run, *ENDED):
        ended = ended or over.get("lastTransitionTime")
    first, last = moment(started), moment(ended)
    seconds = int((last - first).total_seconds()) if first and last else None
    # The state of a finished run needs no pods.
    word = state.of(run, [] if over else runs.pods(name)).word
    return Row(job, name, word, started, seconds)


@click.group(name="jobs", invoke_without_command=True)
@showing.stack_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(ctx: click.Context, *, stack: str, as_json: bool) -> None:
    """Show the jobs of a stack and their runs; follow or stop a run.

    Runs are started by `slipway run`, or by the job's schedule.
    """
    if ctx.invoked_subcommand:
        _refuse_lost(ctx)
        return
    found = _all(stack)
    if as_json:
        for row in found:
            click.echo(json.dumps(vars(row)))
        return
    table = Table("job", "run", "state", "started", "seconds")
    for row in found:
        took = NONE if row.seconds is None else str(row.seconds)
        words = (row.job, row.run or NONE, row.state, row.started or NONE, took)
        table.add_row(*map(printable, words))
    Console().print(table)


def _all(stack: str) -> list[Row]:
    """Of the cluster, if jobs run in it, and of EMR Serverless, if jobs run there."""
    settings, found = stack_settings.load(stack, JobsSettings), []
    if settings.jobs:
        with showing.opened(stack) as (_, runs):
            found += rows(runs, list(settings.jobs))
    if settings.emr:
        runs_of_emr = emr_runs.opened(stack, settings)
        found += emr_command.rows(runs_of_emr, list(settings.emr.jobs))
    return found


def _emr(stack: str, run: str) -> EmrRuns | None:
    """Runs of EMR Serverless, if this is the id of one."""
    if not emr_runs.is_emr(run):
        return None
    settings = stack_settings.load(stack, JobsSettings)
    return emr_runs.opened(stack, settings) if settings.emr else None


def _refuse_lost(ctx: click.Context) -> None:
    """UsageError for a stack that is named before the subcommand, which ignores it."""
    if ctx.get_parameter_source("stack") is not ParameterSource.DEFAULT:
        raise click.UsageError(f"give --stack after {ctx.invoked_subcommand}")


@command.command("follow")
@click.argument("run", metavar="RUN")
@showing.stack_option
@click.pass_context
def follow_command(ctx: click.Context, run: str, *, stack: str) -> None:
    """Show the logs and the state of RUN from its start until it ends.

    The exit status is the run's, as of `slipway run --wait`. Ctrl-C does not stop the
    run. Of a run of EMR Serverless its states are shown, and where its logs are.
    """
    if of_emr := _emr(stack, run):
        ctx.exit(emr_command.follow(of_emr, run, stack))
    with showing.opened(stack) as (_, runs):
        ctx.exit(showing.follow(runs, run, stack))


@command.command("stop")
@click.argument("run", metavar="RUN")
@showing.stack_option
def stop_command(run: str, *, stack: str) -> None:
    """Delete RUN and its pods; the next run continues from its checkpoint.

    A run of EMR Serverless is cancelled, and its logs stay.
    """
    if of_emr := _emr(stack, run):
        of_emr.cancel(run)
        showing.say(f"{run} is being cancelled.")
        return
    with showing.opened(stack) as (_, runs):
        runs.stop(run)
    showing.say(f"{run} is being deleted, with its pods and their logs.")
