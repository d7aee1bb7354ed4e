"""How often gates of late labels and of groups are wrong, by seeded simulation.

    python -m benchmarks.rollout_cohorts

Two revisions answer 200 or 1,000 requests an hour, a tenth of them the canary's, and
the rollout begins at hour 0. Stable has answered for 60 days before. Labels come late:
of positive ones after 5 days on average (exponential), of negative ones half at once
and half after 30 days. The gate looks once a day for 60 days. "Arrivals" compares the
labels that have arrived since the start, whatever they are of; "cohorts" is the
program's own gate (images/rollout), as one of four. The second table is a gap between
two groups of people, a minority of 10 %, with 1,000 requests an hour for two weeks. The
third is of copies: the share of decisions that change, of which 10 % are tolerated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import rollout_tables as tables
from benchmarks.rollout_contenders import ACCURACY, GATES
from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "rollout"))

from rollout import pairs_gate
from rollout.cohorts import Cohorts, What
from rollout.counts import Interval, Series, Tally
from rollout.gate import Call, judge
from rollout.settings import ErrorsAllowed, Gate, RollbackWhen

SEED, RUNS = 20261130, 400
DAYS, BEFORE = 60, 60
DUE_DAYS = 31
POSITIVE = 0.3
LATE_DAYS = 5.0
"""Mean of the time until a positive label comes."""
LATEST_DAYS = 30
SHARE = 0.1
MINORITY = 0.1
LEAST = 10
"""Cohorts before a promotion: of days, 30 would take two months."""
Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]
GAP = Gate(
    "fairness",
    0.05,
    RollbackWhen.WORSE_THAN_TOLERATED,
    cohorts=Cohorts(
        What.SELECTION, "m", 3600, attribute="a", group="g", least_rows=200
    ),
)
CHANGES = Gate(
    "pairs decisions",
    0.1,
    paired=True,
    min_coverage=0.9,
    cohorts=Cohorts(What.PAIRED_DECISIONS, "m", 3600),
)
PAIRED_HOURS, PAIRED_LEAST = 72, 30
UNEQUAL = 0.5
"""How the share that changes varies from hour to hour (coefficient of variation)."""


@dataclass(frozen=True)
class Ends:
    """How runs ended: 1 promoted, -1 rolled back, 0 undecided; and after which look."""

    outcomes: list[int]
    looks: list[int]

    def share(self, outcome: int) -> float:
        return self.outcomes.count(outcome) / len(self.outcomes)

    def median(self, outcome: int) -> float:
        both = zip(self.outcomes, self.looks, strict=True)
        found = [look for it, look in both if it == outcome]
        return float(np.median(found)) if found else float("nan")


@dataclass(frozen=True)
class Late:
    """Labelled and wrong predictions of one revision; shape (day made, day come)."""

    labelled: Counts
    wrong: Counts

    def cohorts(self, day: int) -> tuple[Counts, Counts]:
        """By the day they were made, as it is known at the end of a day."""
        come = slice(None, BEFORE + day + 1)
        made = slice(BEFORE, BEFORE + day + 1)
        return self.labelled[made, come].sum(1), self.wrong[made, come].sum(1)

    def arrivals(self, day: int) -> tuple[Counts, Counts]:
        """By the day they came, of predictions of whatever day."""
        come = slice(BEFORE, BEFORE + day + 1)
        return self.labelled[:, come].sum(0), self.wrong[:, come].sum(0)


def late(
    chance: np.random.Generator, rows: int, wrong: tuple[float, float], first: int
) -> Late:
    """Predictions of each day from `first` on; `wrong` of negatives and positives."""
    days = BEFORE + DAYS
    labelled, bad = np.zeros((days, days), int), np.zeros((days, days), int)
    for is_positive, delays in (
        (False, _negative_delays()),
        (True, _positive_delays()),
    ):
        share = POSITIVE if is_positive else 1 - POSITIVE
        for made in range(first, days):
            # What comes after the last day is in no look.
            come = chance.multinomial(chance.binomial(rows, share), delays)[
                : days - made
            ]
            labelled[made, made:] += come
            bad[made, made:] += chance.binomial(come, wrong[is_positive])
    return Late(labelled, bad)


def _positive_delays() -> Numbers:
    """Chances of whole days, exponential."""
    ends = np.exp(-np.arange(BEFORE + DAYS + 1) / LATE_DAYS)
    return np.append(ends[:-1] - ends[1:], ends[-1])


def _negative_delays() -> Numbers:
    found = np.zeros(BEFORE + DAYS)
    found[[0, LATEST_DAYS]] = 0.5
    return found


def labels_run(
    chance: np.random.Generator, rows: int, worse: float, *, by_cohorts: bool
) -> tuple[int, int]:
    """One rollout; the canary is wrong more often by `worse`, among the positives."""
    base = (0.10, 0.27)
    stable = late(chance, round(rows * 24 * (1 - SHARE)), base, 0)
    wrong = (base[0], base[1] + worse / POSITIVE)
    canary = late(chance, round(rows * 24 * SHARE), wrong, BEFORE)
    for day in range(DAYS):
        arms = [
            it.cohorts(day) if by_cohorts else it.arrivals(day)
            for it in (canary, stable)
        ]
        due = day + 1 - DUE_DAYS if by_cohorts else day + 1
        if outcome := _outcome(ACCURACY, _series(arms, max(due, 0))):
            return outcome, day + 1
    return 0, DAYS


def _series(arms: Sequence[tuple[Counts, Counts]], due: int) -> Series:
    (n1, x1), (n0, x0) = arms
    rows = zip(n1.tolist(), x1.tolist(), n0.tolist(), x0.tolist(), strict=True)
    found = [
        Interval(place, Tally(n, x), Tally(m, y))
        for place, (n, x, m, y) in enumerate(rows)
    ]
    return Series(tuple(found), due=due)


def _outcome(gate: Gate, series: Series) -> int:
    found = judge(gate, series, ErrorsAllowed(), gates=GATES, min_intervals=LEAST)
    return {Call.PROMOTE: 1, Call.ROLLBACK: -1}.get(found.call, 0)


def gap_run(
    chance: np.random.Generator, share: float, widened: float, drop: float = 0.0
) -> tuple[int, int]:
    """Hours of a gap of 10 points that has `widened`; `drop` is everybody's."""
    hours, rows = 14 * 24, 1000
    rates = {True: (0.4, 0.4 - widened - drop), False: (0.5, 0.5 - drop)}
    drawn: dict[bool, list[Interval]] = {True: [], False: []}
    for is_minority, (stable, canary) in rates.items():
        part = rows * (MINORITY if is_minority else 1 - MINORITY)
        sizes = chance.binomial(round(part), share, hours)
        n1, n0 = sizes, round(part) - sizes
        x1, x0 = chance.binomial(n1, 1 - canary), chance.binomial(n0, 1 - stable)
        drawn[is_minority] = [
            Interval(
                at, Tally(int(n1[at]), int(x1[at])), Tally(int(n0[at]), int(x0[at]))
            )
            for at in range(hours)
        ]
    for hour in range(12, hours, 12):
        series = Series(
            tuple(drawn[True][:hour]), due=hour, others=tuple(drawn[False][:hour])
        )
        if outcome := _outcome(GAP, series):
            return outcome, hour
    return 0, hours


def pairs_run(
    chance: np.random.Generator, copies: int, changed: float, *, bursty: bool
) -> tuple[int, int]:
    """Hours of a shadow step in which that share of the decisions changes."""
    shares = np.full(PAIRED_HOURS, changed)
    if bursty:
        shape = UNEQUAL**-2
        shares = np.minimum(1, changed * chance.gamma(shape, 1 / shape, PAIRED_HOURS))
    every = [
        Interval(at, Tally(copies, bad), Tally(copies, 0))
        for at, bad in enumerate(chance.binomial(copies, shares).tolist())
    ]
    for hour in range(1, PAIRED_HOURS + 1):
        found = pairs_gate.judge(
            CHANGES,
            Series(tuple(every[:hour]), 1.0, due=hour),
            ErrorsAllowed(),
            gates=GATES,
            min_intervals=PAIRED_LEAST,
        )
        if outcome := {Call.PROMOTE: 1, Call.ROLLBACK: -1}.get(found.call, 0):
            return outcome, hour
    return 0, PAIRED_HOURS


def ends(
    run: Callable[[np.random.Generator], tuple[int, int]], count: int, seed: int
) -> Ends:
    found = [run(np.random.default_rng([seed, number])) for number in range(count)]
    return Ends([outcome for outcome, _ in found], [look for _, look in found])


def labels(count: int, seed: int) -> Iterator[tuple[str, int, float, Ends]]:
    """Way of comparing, requests an hour, by how much the canary is worse, and ends."""
    for name, by_cohorts in (("arrivals", False), ("cohorts", True)):
        for rows in (200, 1000):
            for worse in (0.0, 0.02, 0.03):

                def one(
                    chance: np.random.Generator,
                    rows: int = rows,
                    worse: float = worse,
                    by_cohorts: bool = by_cohorts,
                ) -> tuple[int, int]:
                    return labels_run(chance, rows, worse, by_cohorts=by_cohorts)

                yield name, rows, worse, ends(one, count, seed)


def gaps(count: int, seed: int) -> Iterator[tuple[float, float, float, Ends]]:
    """Canary's share, by how much the gap has widened, by how much all fell, ends."""
    for share in (0.1, 0.5):
        for widened, drop in ((0.0, 0.0), (0.0, 0.1), (0.05, 0.0), (0.1, 0.0)):

            def one(
                chance: np.random.Generator,
                share: float = share,
                widened: float = widened,
                drop: float = drop,
            ) -> tuple[int, int]:
                return gap_run(chance, share, widened, drop)

            yield share, widened, drop, ends(one, count, seed)


def pairs(count: int, seed: int) -> Iterator[tuple[int, float, bool, Ends]]:
    """Copies an hour, share of decisions that change, whether in bursts, and ends."""
    scenes = ((0.05, False), (0.05, True), (0.1, False), (0.1, True), (0.12, False))
    for copies in (200, 1000):
        for changed, bursty in scenes:

            def one(
                chance: np.random.Generator,
                copies: int = copies,
                changed: float = changed,
                bursty: bool = bursty,
            ) -> tuple[int, int]:
                return pairs_run(chance, copies, changed, bursty=bursty)

            yield copies, changed, bursty, ends(one, count, seed)


def _figures(found: Ends, outcome: int) -> list[str]:
    median = found.median(outcome)
    shares = [tables.share(found.share(it)) for it in (-1, 1)]
    return [*shares, "never" if np.isnan(median) else f"{median:.0f}"]


def main(arguments: Sequence[str] | None = None) -> int:
    options = tables.asked(
        "benchmarks.rollout_cohorts", __doc__, (RUNS, SEED), arguments
    )
    head = ("by", "requests an hour", "points worse", "back", "on", "median days")
    print(tables.row(*head), tables.row(*["---"] * len(head)), sep="\n")
    for name, rows, worse, found in labels(options.runs, options.seed):
        figures = _figures(found, -1 if worse else 1)
        print(tables.row(name, rows, f"{worse * 100:g}", *figures), flush=True)
    head = (
        "canary's share",
        "gap wider by",
        "all fall by",
        "back",
        "on",
        "median hours",
    )
    print("", tables.row(*head), tables.row(*["---"] * len(head)), sep="\n")
    for share, widened, drop, found in gaps(options.runs, options.seed):
        figures = _figures(found, -1 if widened else 1)
        shown = [f"{it * 100:g} %" for it in (share, widened, drop)]
        print(tables.row(*shown, *figures), flush=True)
    of_pairs = ("copies an hour", "decisions change", "back", "on", "median hours")
    print("", tables.row(*of_pairs), tables.row(*["---"] * len(of_pairs)), sep="\n")
    for copies, changed, bursty, found in pairs(options.runs, options.seed):
        changes = f"{changed * 100:g} %{' in bursts' if bursty else ''}"
        print(tables.row(copies, changes, *_figures(found, 1)), flush=True)
    print(f"\n{options}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
