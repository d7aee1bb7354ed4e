"""`slipway replay`: what a new revision answers to the requests of a prediction log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from slipway.replay import report
from slipway.replay.asking import Bounds, Replay, Server, replay
from slipway.replay.pairs import Comparison, compare
from slipway.replay.prediction_log import Reading
from toolchain.errors import INTERRUPTED, OperatorError

CHANGED = 3
"""More decisions changed than allowed, or it is not sure that they did not."""


@click.command(name="replay")
@click.argument("log", type=click.Path(exists=True, path_type=Path), metavar="LOG")
@click.argument("model", metavar="MODEL")
@click.option("--revision", required=True, metavar="R", help="The new revision.")
@click.option(
    "--url",
    metavar="URL",
    help="Address of one of its servers, such as http://127.0.0.1:8080 after "
    "`kubectl port-forward deployment/MODEL-R 8080`.",
)
@click.option(
    "--recorded",
    is_flag=True,
    help="Send no requests: compare the copied ones that the log has (shadow).",
)
@click.option(
    "--requests",
    default=1000,
    show_default=True,
    type=click.IntRange(1, 10_000_000),
    help="Most requests to ask.",
)
@click.option(
    "--seconds",
    default=300.0,
    show_default=True,
    type=click.FloatRange(0.1, 86400),
    help="No request begins later.",
)
@click.option(
    "--concurrent",
    default=4,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Requests under way at a time.",
)
@click.option(
    "--answer-seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.01, 3600),
    help="Longest wait for one answer.",
)
@click.option(
    "--max-changed-percent",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 3 unless fewer decisions have changed, with 97.5 % certainty.",
)
@click.option("--decision", default="", metavar="OUTPUT", help="Default: label.")
@click.option("--score", default="", metavar="OUTPUT", help="Default: probability.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
def command(
    log: Path,
    model: str,
    revision: str,
    url: str | None,
    *,
    recorded: bool,
    requests: int,
    seconds: float,
    concurrent: int,
    answer_seconds: float,
    max_changed_percent: float | None,
    decision: str,
    score: str,
    as_json: bool,
) -> None:
    """Compare a new revision's answers with those that a prediction log has.

    LOG is a file of the prediction log, or the folder of its files; MODEL is the name
    in model.yaml. Only requests of which the log has all features can be asked again
    (`log` in model.yaml).

    Exit status: 0 compared; 1 there is nothing to compare, or a request failed; 2 the
    command line is wrong; 3 more decisions changed than allowed.
    """
    if recorded == bool(url):
        raise click.UsageError("give either --url or --recorded")
    reading = Reading(log, model)
    if recorded:
        found = Replay(pairs=list(reading.copied(revision)), ended="the log was read")
    else:
        assert url
        bounds = Bounds(requests, concurrent, seconds, answer_seconds)
        server = Server(url, model, revision)
        with _progress(requests, quiet=as_json) as told:
            found = _run(
                replay(
                    server,
                    reading.requests(revision),
                    bounds,
                    decision=decision,
                    score=score,
                    told=told,
                )
            )
    left_out = found.left_out + reading.left_out
    compared = compare(found.pairs)
    _print(compared, found, left_out, as_json=as_json)
    raise click.exceptions.Exit(_status(compared, found, max_changed_percent))


def _run(work: Any) -> Replay:
    try:
        found: Replay = asyncio.run(work)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    return found


@contextmanager
def _progress(requests: int, *, quiet: bool) -> Iterator[Callable[[Replay], None]]:
    """A bar on a terminal's error stream; nothing elsewhere."""
    console = Console(stderr=True)
    columns = TextColumn("asked"), BarColumn(), MofNCompleteColumn()
    disabled = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=disabled) as bar:
        task = bar.add_task("asked", total=requests)
        yield lambda found: bar.update(task, completed=found.requests)


def _status(compared: Comparison, found: Replay, most: float | None) -> int:
    if not compared.pairs or found.failed:
        return 1
    if most is None:
        return 0
    changed = compared.changed
    return 0 if changed and changed.upper * 100 < most else CHANGED


def _print(
    compared: Comparison, found: Replay, left_out: Counter[str], *, as_json: bool
) -> None:
    if as_json:
        click.echo(json.dumps(_plain(compared, found, left_out), sort_keys=True))
        return
    table = Table(show_header=False, box=None)
    for name, text in report.lines(compared):
        table.add_row(name, text)
    for what, number in (*found.failed.items(), *left_out.items()):
        kind = "failed" if what in found.failed else "left out"
        table.add_row(kind, f"{number:,}: {what}")
    table.add_row("ended", f"{found.ended}; {found.seconds:.1f} s")
    Console(width=100, highlight=False).print(table)
    if not compared.pairs:
        raise OperatorError("there is no pair of answers to compare")


def _plain(
    compared: Comparison, found: Replay, left_out: Counter[str]
) -> dict[str, Any]:
    return {
        "comparison": compared.plain(),
        "requests": found.requests,
        "failed": dict(found.failed),
        "left_out": dict(left_out),
        "ended": found.ended,
        "seconds": round(found.seconds, 3),
    }
