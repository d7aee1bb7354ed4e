"""`slipway replay`: what a new revision answers to the requests of a prediction log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from slipway.replay import labels as label_file
from slipway.replay import report
from slipway.replay.asking import Bounds, Replay, Server, replay
from slipway.replay.pairs import Comparison, compare
from slipway.replay.prediction_log import Reading
from toolchain.errors import INTERRUPTED, OperatorError

CHANGED = 3
"""A limit on changed decisions or on accuracy is exceeded or cannot be shown to hold,
or too few pairs have a label."""


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
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Labels (.jsonl, .jsonl.gz, .csv): compare the accuracies on the same rows.",
)
@click.option(
    "--max-worse-points",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="With --labels: exit with 3 unless the accuracy falls by fewer percentage "
    "points, with 97.5 % certainty.",
)
@click.option(
    "--min-labelled-percent",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="With --labels: exit with 3 if fewer of the pairs with decisions have one; "
    "recommended with --max-worse-points.",
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
    labels: Path | None,
    max_worse_points: float | None,
    min_labelled_percent: float | None,
    decision: str,
    score: str,
    as_json: bool,
) -> None:
    """Compare a new revision's answers with those that a prediction log has.

    LOG is a file of the prediction log, or the folder of its files; MODEL is the name
    in model.yaml. Only requests of which the log has all features can be asked again
    (`log` in model.yaml).

    Exit status: 0 compared; 1 there is nothing to compare, or a request failed; 2 the
    command line or a label is wrong; 3 more decisions changed than allowed, the
    accuracy fell by more, or fewer pairs have a label.
    """
    if recorded == bool(url):
        raise click.UsageError("give either --url or --recorded")
    limits = Limits(max_changed_percent, max_worse_points, min_labelled_percent)
    if limits.need_labels and not labels:
        raise click.UsageError(
            "--max-worse-points and --min-labelled-percent need --labels"
        )
    known = label_file.read(labels) if labels else None
    reading = Reading(log, model)
    if recorded:
        found = Replay(pairs=list(reading.copied(revision)), ended="the log was read")
    else:
        assert url
        bounds = Bounds(requests, concurrent, seconds, answer_seconds)
        server = Server(url, model, revision)
        with _progress(requests, quiet=as_json) as on_answer:
            found = _run(
                replay(
                    server,
                    reading.requests(revision),
                    bounds,
                    decision=decision,
                    score=score,
                    on_answer=on_answer,
                )
            )
    result = Result(
        found,
        compare(found.pairs),
        label_file.compare(found.pairs, known) if known is not None else None,
        found.left_out + reading.left_out,
        with_labels=known is not None,
    )
    _print(result, as_json=as_json)
    raise click.exceptions.Exit(_status(result, limits))


@dataclass(frozen=True)
class Limits:
    """What the exit status depends on; None: any value is allowed."""

    changed_percent: float | None
    """Most decisions that changed, of the pairs with decisions."""
    worse_points: float | None
    """Most percentage points by which the accuracy falls."""
    labelled_percent: float | None
    """Least pairs that have a label, of the pairs with decisions."""

    @property
    def need_labels(self) -> bool:
        return (self.worse_points, self.labelled_percent) != (None, None)


@dataclass(frozen=True)
class Result:
    """A finished replay."""

    replay: Replay
    compared: Comparison
    accuracy: label_file.Accuracy | None
    """None without labels, or if no pair has one."""
    left_out: Counter[str]
    with_labels: bool


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


def _status(result: Result, limits: Limits) -> int:
    if not result.compared.pairs or result.replay.failed:
        return 1
    share, accuracy = result.compared.changed, result.accuracy
    changed, worse = limits.changed_percent, limits.worse_points
    labelled = limits.labelled_percent
    # Missing data are not proof.
    if changed is not None and not (share and share.upper * 100 < changed):
        return CHANGED
    if worse is not None and not (accuracy and -accuracy.change.lower * 100 < worse):
        return CHANGED
    rows, of = (accuracy.rows, accuracy.of) if accuracy else (0, 1)
    if labelled is not None and rows * 100 < labelled * of:
        return CHANGED
    return 0


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_plain(result), sort_keys=True))
        return
    found = result.replay
    table = Table(show_header=False, box=None)
    for name, text in report.lines(result.compared):
        table.add_row(name, text)
    if result.with_labels:
        for name, text in report.accuracy(result.accuracy):
            table.add_row(name, text)
    for what, number in (*found.failed.items(), *result.left_out.items()):
        kind = "failed" if what in found.failed else "left out"
        table.add_row(kind, f"{number:,}: {what}")
    table.add_row("ended", f"{found.ended}; {found.seconds:.1f} s")
    Console(width=100, highlight=False).print(table)
    if not result.compared.pairs:
        raise OperatorError("there is no pair of answers to compare")


def _plain(result: Result) -> dict[str, Any]:
    found = result.replay
    plain = {
        "comparison": result.compared.plain(),
        "requests": found.requests,
        "failed": dict(found.failed),
        "left_out": dict(result.left_out),
        "ended": found.ended,
        "seconds": round(found.seconds, 3),
    }
    if result.with_labels:
        plain["accuracy"] = asdict(result.accuracy) if result.accuracy else None
    return plain
