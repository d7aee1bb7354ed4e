"""The replay from its settings to its tables."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from examples.demo_drift import (
    census,
    comparison,
    monitor,
    prometheus,
    report,
    retraining,
    watched,
)
from examples.demo_drift.census import YEARS, Card
from examples.demo_drift.oracle import Judged
from examples.demo_drift.replay import Replay, Sent, Snapshot, joined
from examples.demo_drift.retraining import Requested
from examples.demo_drift.served import ServedModel
from examples.demo_drift.timeline import FAULTY_FEATURE, Stage, Timeline, timeline
from slipway import images
from toolchain.errors import OperatorError

TOLD_EVERY_DAYS = 10
INTRODUCTION = """\
Served model: {url}
{rows:,} rows in real requests of at most {batch_rows}, over {days} simulated days of \
at least {day_seconds:g} s.

Real: the census rows, the answers of the served model, the monitor's program (one of \
the demo's own),
the alert rules as a cluster gets them, Prometheus.
Simulated: the clock. The server stamps its records with the time of now, so the demo \
writes the same
records with simulated times and ships them to its monitor. A census year is 30 days \
and a quiet one:
2016 is January 2019. Labels come 29 or 30 days late, in no order, some twice, some \
wrong at first.
Made up: a fault after 2018, ages in months for ten days.
Alerts hold for {hold} s of the wall clock: what lasts for fewer simulated days than \
that fires no alert here.
"""


@dataclass(frozen=True)
class DemoSettings:
    """What a person can choose."""

    url: str
    run: str
    """Begins every request id."""
    rows: int = 0
    """Of each year; 0: all."""
    batch_rows: int = 400
    day_seconds: float = 1.0


@dataclass(frozen=True)
class Found:
    """What a replay found."""

    snapshots: tuple[Snapshot, ...]
    years: tuple[comparison.Year, ...]
    rules: tuple[str, ...]
    sent: Sent
    problems: tuple[str, ...]
    """What the monitor logged as errors."""
    retraining: tuple[Requested, ...]

    @property
    def wrong(self) -> list[str]:
        stages = [
            f"alerts, {it.stage.name}: {line}"
            for it in self.snapshots
            for line in it.wrong
        ]
        of_monitor = [f"the monitor logged: {it}" for it in self.problems]
        # The last stage brings the labels of the rows with a fault.
        asked = retraining.wrong(self.retraining, self.snapshots[-1].stage.first)
        return [*comparison.wrong(self.years), *stages, *of_monitor, *asked]


def replay(settings: DemoSettings, console: Console, folder: Path) -> int:
    """Replay, print what was found, return the exit status. Raises OperatorError."""
    card = Card.read(images.model_folder(census.MODEL))
    years = [census.year(it, settings.rows) for it in YEARS]
    days = timeline(
        years, card.column(FAULTY_FEATURE), settings.batch_rows, settings.run
    )
    _introduce(console, settings, days)
    found = find(settings, card, days, folder, _progress_printer(console))
    show(console, found)
    return report.conclude(console, "replay", found.wrong)


def find(
    settings: DemoSettings,
    card: Card,
    days: Timeline,
    folder: Path,
    tell: Callable[[Stage, dt.date, Sent], None],
) -> Found:
    """Send all days to the served model and return what the monitor found of them."""
    with (
        ServedModel(settings.url) as model,
        monitor.serving(folder, card) as watcher,
        prometheus.serving(folder, card, watcher.port) as judge,
    ):
        _check_revision(model, card, days)
        run = Replay(
            days,
            card,
            model=model,
            monitor=watcher,
            prometheus=judge,
            day_seconds=settings.day_seconds,
            all_rows=not settings.rows,
        )
        snapshots = run.run(tell)
        columns = {name: card.column(name) for name in card.protected}
        judged = {
            year: Judged.of(joined(run.answers, comparison.days_of(index)), columns)
            for index, year in enumerate(YEARS)
        }
        return Found(
            tuple(snapshots),
            tuple(
                comparison.years(
                    {it.stage.name: it for it in snapshots},
                    judged,
                    all_rows=not settings.rows,
                )
            ),
            tuple(judge.rules()),
            run.sent,
            tuple(watcher.problems()),
            tuple(watcher.retraining()),
        )


def _check_revision(model: ServedModel, card: Card, days: Timeline) -> None:
    """Raise OperatorError unless the served model is the one of this checkout.

    Its reference and its approved revision are what the monitor compares with.
    """
    first = next(iter(days.batches.values()))[0]
    (answer,) = model.ask([first])
    if answer.revision != card.revision:
        raise OperatorError(
            f"{model.url} serves revision {answer.revision}, this checkout's model is "
            f"{card.revision}: run `make up`, or check out what is served"
        )


def _introduce(console: Console, settings: DemoSettings, days: Timeline) -> None:
    last = days.stages[-1].last
    number = (last - days.stages[0].first).days + 1
    console.print(
        INTRODUCTION.format(
            url=settings.url,
            rows=days.rows,
            batch_rows=settings.batch_rows,
            days=number,
            day_seconds=settings.day_seconds,
            hold=watched.HOLD_SECONDS,
        ),
        highlight=False,
    )


def _progress_printer(console: Console) -> Callable[[Stage, dt.date, Sent], None]:
    started = time.monotonic()

    def tell(stage: Stage, date: dt.date, sent: Sent) -> None:
        number = (date - stage.first).days
        if number % TOLD_EVERY_DAYS and date != stage.last:
            return
        console.print(
            f"{time.monotonic() - started:5.0f} s  {date}  {sent.rows:8,} rows "
            f"{sent.labels:8,} labels  {stage.title}",
            highlight=False,
        )

    return tell


def show(console: Console, found: Found) -> None:
    """Print all tables."""
    console.print(report.quality(found.years))
    console.print(report.fairness(found.years))
    console.print(report.drift(found.years))
    console.print(report.stages(found.snapshots))
    console.print(report.names(found.rules, found.snapshots))
    for request in found.retraining:
        console.print(str(request), highlight=False)
    sent = found.sent
    console.print(
        f"{sent.rows:,} rows, {sent.labels:,} labels for {len(sent.labelled):,} of "
        f"them: {sent.labels - len(sent.labelled):,} came twice or were corrected",
        highlight=False,
    )
