"""The monitor's figures of the replayed years beside the oracle's."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from examples.demo_drift import oracle
from examples.demo_drift.census import YEARS
from examples.demo_drift.oracle import Judged
from examples.demo_drift.replay import Snapshot
from examples.demo_drift.timeline import FAULTY_FEATURE, YEAR_DAYS, day, start_of
from examples.demo_drift.watched import MIN_GROUP_ROWS

QUALITY_WINDOW = "30d"
SELECTION = ("demographic_parity_ratio", "demographic_parity_difference")
"""Of the newest 30 days; what needs labels is of the newest 30 that are due."""
ODDS = ("equalized_odds_difference",)
NEEDED, OF = 2, 3
"""A feature drifts for good when it does on so many of so many days."""
SLOW = frozenset({"ANC"})
"""Features whose drift may persist for a day or two: ancestry moves by .032, .040 and
.043 of all rows, a little less than the floor of .05, and a day's 2,300 rows are a
sample. Whatever else drifts for good is wrong."""


@dataclass(frozen=True)
class Figure:
    """One figure of one year by both, with the monitor's interval."""

    year: int
    name: str
    value: float | None
    low: float | None
    high: float | None
    oracle: float | None
    tolerance: float
    verdict: str = ""

    @property
    def difference(self) -> float | None:
        if self.value is None or self.oracle is None:
            return None
        return abs(self.value - self.oracle)

    @property
    def is_equal(self) -> bool:
        """Whether both agree; also on there being no figure."""
        if self.difference is None:
            return self.value is None and self.oracle is None
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Year:
    """What the monitor found of one census year, and what it should have."""

    year: int
    rows: int
    answered: int
    labelled: int
    quality: tuple[Figure, ...]
    fairness: tuple[tuple[str, Figure], ...]
    """With the attribute."""
    drifted: Mapping[str, int]
    """Days on which a feature drifted, by feature."""
    persisted: Mapping[str, int]
    """Days on which it had on 2 of 3, by the monitor's decisions of each day."""
    largest_effect: float
    """Of any feature on any day."""
    persistent: tuple[str, ...]
    """Features, score or decision that drift for good at the end of the year."""
    is_whole: bool = True
    """All rows of the year: with fewer, a day's rows are too small a sample."""

    @property
    def coverage(self) -> float:
        return self.labelled / self.answered if self.answered else 0.0

    @property
    def wrong(self) -> list[str]:
        found = []
        if not self.rows == self.answered == self.labelled:
            found.append(
                f"{self.year}: {self.rows} rows were sent, the monitor has "
                f"{self.answered} with {self.labelled} labels"
            )
        found += [f"{self.year}: drift of {name}" for name in self._drift()]
        of_groups = [figure for _, figure in self.fairness]
        different = [
            f"{self.year}: {it.name}: the monitor says {it.value}, the oracle "
            f"{it.oracle}"
            for it in (*self.quality, *of_groups)
            if not it.is_equal
        ]
        return found + different

    def _drift(self) -> list[str]:
        """Return what must not drift for good, and did; ages not on any day."""
        lasting = {*self.persistent, *(self.persisted if self.is_whole else ())}
        ages = {FAULTY_FEATURE} & self.drifted.keys() if self.is_whole else set()
        return sorted((lasting - SLOW) | ages)


def days_of(index: int) -> list[dt.date]:
    """Return the simulated days of a census year, 0 being the first."""
    return [day(start_of(index) + place) for place in range(YEAR_DAYS)]


def years(
    snapshots: Mapping[str, Snapshot],
    judged: Mapping[int, Judged],
    *,
    all_rows: bool,
) -> list[Year]:
    """Return all years; `snapshots` by stage, `judged` by year."""
    found = []
    for index, year in enumerate(YEARS):
        # A year's rows are the newest 30 days at the end of its own stage, and the
        # newest 30 due days at the end of the next one.
        served = ["served 2016", "judged 2016", "judged 2017"][index]
        of_selection = snapshots[served].revision
        of_labels = snapshots[f"judged {year}"].revision
        window = of_labels["windows"][QUALITY_WINDOW]
        one = judged[year]
        found.append(
            Year(
                year,
                len(one),
                window["answered"],
                window["labelled"],
                tuple(_quality(year, window, one)),
                tuple(_fairness(year, of_selection, of_labels, one)),
                *_drift(of_labels, of_selection, index),
                is_whole=all_rows,
            )
        )
    return found


def _quality(year: int, window: Mapping[str, Any], judged: Judged) -> Iterator[Figure]:
    right = oracle.quality(judged)
    verdicts = {it["metric"]: it["verdict"] for it in window["judgements"]}
    for name in oracle.METRICS:
        yield _figure(
            year,
            name,
            window["metrics"].get(name),
            right[name],
            tolerance=oracle.tolerance(name),
            verdict=verdicts.get(name, ""),
        )


def _fairness(
    year: int,
    of_selection: Mapping[str, Any],
    of_labels: Mapping[str, Any],
    judged: Judged,
) -> Iterator[tuple[str, Figure]]:
    for attribute in judged.groups:
        right = oracle.fairness(judged, attribute, MIN_GROUP_ROWS)
        for revision, names in ((of_selection, SELECTION), (of_labels, ODDS)):
            found = _metrics(revision, attribute)
            for name in names:
                metric = found[name]
                yield (
                    attribute,
                    _figure(
                        year,
                        name,
                        metric["figure"],
                        right.get(name),
                        tolerance=oracle.EXACT,
                        verdict=metric["verdict"],
                    ),
                )


def _metrics(revision: Mapping[str, Any], attribute: str) -> dict[str, Any]:
    audits = [it for it in revision["fairness"] if it["attribute"] == attribute]
    return {it["metric"]: it for audit in audits for it in audit["metrics"]}


def _figure(
    year: int,
    name: str,
    found: Mapping[str, Any] | None,
    right: float | None,
    *,
    tolerance: float,
    verdict: str,
) -> Figure:
    is_defined = right is not None and not math.isnan(right)
    given = found or {"value": None, "low": None, "high": None}
    return Figure(
        year,
        name,
        given["value"],
        given["low"],
        given["high"],
        right if is_defined else None,
        tolerance,
        verdict,
    )


def _drift(
    with_history: Mapping[str, Any], at_end: Mapping[str, Any], index: int
) -> tuple[dict[str, int], dict[str, int], float, tuple[str, ...]]:
    """Return drift by day of a year, and what persisted when it had been served."""
    dates = {date.isoformat() for date in days_of(index)}
    days = [it for it in with_history["history"] if it["date"] in dates]
    by_day = [set(it["drifted"]) for it in days]
    effects = [it["largest_effect"] for it in days if it["largest_effect"] is not None]
    drift = at_end["drift"] or {"features": (), "predictions": ()}
    persistent = [
        it["feature"]
        for it in (*drift["features"], *drift["predictions"])
        if it["persistent"]
    ]
    return (
        _counted(by_day),
        _counted(lasting(by_day)),
        max(effects, default=0.0),
        tuple(persistent),
    )


def lasting(by_day: Sequence[set[str]]) -> list[set[str]]:
    """Return, for each day, what drifted on enough of the days up to it."""
    found = []
    for place in range(len(by_day)):
        recent = by_day[max(0, place + 1 - OF) : place + 1]
        names = {name for day in recent for name in day}
        found.append({it for it in names if sum(it in d for d in recent) >= NEEDED})
    return found


def _counted(by_day: Iterable[set[str]]) -> dict[str, int]:
    return dict(sorted(Counter(name for day in by_day for name in day).items()))


def wrong(found: Sequence[Year]) -> list[str]:
    return [line for year in found for line in year.wrong]
