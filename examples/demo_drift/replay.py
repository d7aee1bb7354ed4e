"""Day by day: requests to the served model, its records and the labels to the monitor.

The clock is simulated: a day takes `day_seconds`, or as long as its work. The monitor
runs with `clock: event`, so that its now is the newest record or label.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from examples.demo_drift import records, watched
from examples.demo_drift.census import SEED, Card
from examples.demo_drift.expectations import Expected, expected
from examples.demo_drift.monitor import Monitor
from examples.demo_drift.processes import wait_for
from examples.demo_drift.prometheus import SCRAPE_SECONDS, Fired, Prometheus
from examples.demo_drift.served import Answer, ServedModel
from examples.demo_drift.timeline import Label, Stage, Timeline, labels_of

CAUGHT_UP_SECONDS = 180.0
"""That the monitor may take for what was sent, at the end of a stage."""
SETTLE_SECONDS = watched.HOLD_SECONDS + 2 * SCRAPE_SECONDS + 2
"""What an alert needs until it fires: hold, scrape, evaluation."""
MISSING_SECONDS = 30.0
"""For how much longer an alert that must fire is waited for."""
ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Snapshot:
    """What was found at the end of a stage."""

    stage: Stage
    results: dict[str, Any]
    fired: frozenset[Fired]
    """At any time of the stage."""
    firing: frozenset[Fired]
    """At its end."""
    expected: Expected

    @property
    def wrong(self) -> list[str]:
        return self.expected.wrong(self.fired, self.firing)

    @property
    def revision(self) -> dict[str, Any]:
        """The figures of the only revision."""
        (found,) = self.results["revisions"]
        return dict(found)


@dataclass
class Sent:
    """What the monitor must know of."""

    rows: int = 0
    labelled: set[tuple[str, int]] = field(default_factory=set)
    labels: int = 0
    """Lines, doubled and wrong ones among them."""


class Replay:
    """Sends all days of a timeline."""

    def __init__(
        self,
        timeline: Timeline,
        card: Card,
        *,
        model: ServedModel,
        monitor: Monitor,
        prometheus: Prometheus,
        day_seconds: float,
        all_rows: bool,
    ) -> None:
        self._timeline, self._card, self._model = timeline, card, model
        self._monitor, self._prometheus = monitor, prometheus
        self._day_seconds, self._all_rows = day_seconds, all_rows
        self._arriving: dict[dt.date, list[Label]] = defaultdict(list)
        self.sent = Sent()
        self.answers: dict[dt.date, list[Answer]] = {}
        """By simulated day."""

    def run(self, tell: Callable[[Stage, dt.date, Sent], None]) -> list[Snapshot]:
        """Return what was found at the end of each stage. Raises OperatorError.

        `tell` hears of each day that was sent.
        """
        return [self._stage(stage, tell) for stage in self._timeline.stages]

    def _stage(
        self, stage: Stage, tell: Callable[[Stage, dt.date, Sent], None]
    ) -> Snapshot:
        started = time.monotonic()
        date = stage.first
        while date <= stage.last:
            end = time.monotonic() + self._day_seconds
            self._day(date)
            tell(stage, date, self.sent)
            time.sleep(max(0.0, end - time.monotonic()))
            date += ONE_DAY
        results = wait_for(
            lambda: self._caught_up(stage),
            f"the monitor has all records and labels up to {stage.last}",
            CAUGHT_UP_SECONDS,
            {"the model monitor": (self._monitor.process, self._monitor.log)},
        )
        return self._settled(stage, results, started)

    def _day(self, date: dt.date) -> None:
        self._send_labels(date)
        batches = self._timeline.batches.get(date, ())
        if not batches:
            return
        answers = self._model.ask(batches)
        self.answers[date] = answers
        name = f"demo-{date:%Y%m%d}-1-000001.jsonl.gz"
        for kind, lines in (
            ("protected", records.protected(answers, self._card)),
            ("predictions", records.predictions(answers, self._card)),
        ):
            self._monitor.ship(f"{kind}-{name}", records.compressed(lines))
        self.sent.rows += sum(len(it.rows) for it in batches)
        for label in labels_of(batches, date):
            self._arriving[label.arrives].append(label)

    def _send_labels(self, date: dt.date) -> None:
        """Send the labels that arrive on a day, of several days and in no order."""
        found = self._arriving.pop(date, [])
        if not found:
            return
        order = np.random.default_rng([SEED, date.toordinal(), 1]).permutation(
            len(found)
        )
        self._monitor.label(records.labels(found[place] for place in order))
        self.sent.labels += len(found)
        self.sent.labelled |= {(it.request_id, it.row) for it in found}

    def _caught_up(self, stage: Stage) -> dict[str, Any]:
        """Return the monitor's results if they are of all that was sent, else none."""
        found = self._monitor.results()
        if not found or not found["now"].startswith(f"{stage.last}"):
            return {}
        days = [day for it in found["revisions"] for day in it["history"]]
        rows, labelled = (
            sum(it[key] for it in days) for key in ("answered", "labelled")
        )
        is_whole = (rows, labelled) == (self.sent.rows, len(self.sent.labelled))
        return found if is_whole else {}

    def _settled(
        self, stage: Stage, results: dict[str, Any], started: float
    ) -> Snapshot:
        """Give alerts their time; wait for those that must fire a while longer."""
        time.sleep(SETTLE_SECONDS)
        wanted = expected(stage.name, all_rows=self._all_rows)
        end = time.monotonic() + MISSING_SECONDS
        while True:
            found = Snapshot(
                stage,
                results,
                frozenset(self._prometheus.fired(time.monotonic() - started)),
                frozenset(self._prometheus.firing()),
                wanted,
            )
            if not found.wrong or time.monotonic() > end:
                return found
            time.sleep(1)


def joined(
    answers: dict[dt.date, list[Answer]], days: Sequence[dt.date]
) -> list[Answer]:
    """Return the answers of some days, in order of time."""
    return [it for date in days for it in answers[date]]
