"""Counts by revision and interval, from raw counters of Prometheus.

PromQL's increase() extrapolates and gives no whole numbers, so the program takes the
differences itself: by series, at the ends of intervals, with counters that began anew.
An interval in which a revision's counters were not scraped is missing, not empty. So is
one with requests but without the counter of the good ones. Gateways make the counter of
a kind of answer at the first one: before it, an interval is empty if a counter that is
there from the start (`completed`) was scraped and did not grow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlencode

from pod_parts.api_client import Api
from pod_parts.api_server import ApiError
from rollout.counts import Interval, Series, Tally
from rollout.settings import Counters, Gate, Settings

LOOK_BACK = 10
"""Intervals before the first one: a counter that was there then is not new."""
Values = dict[int, float]
"""A counter by Unix seconds."""
Both = tuple[dict[int, int], dict[int, int]]
"""Increases of canary and stable by the interval's start, in Unix seconds."""


def read_counts(
    api: Api, settings: Settings, since: int, now: int
) -> dict[str, Series]:
    """Whole intervals from `since` on, by gate; ApiError if they cannot be read.

    Those of the monitor are rollout/monitor.py's to read.
    """
    gates = [gate for gate in settings.gates if gate.cohorts is None]
    length = settings.interval_seconds
    first, last = -(-since // length) * length, now // length * length
    if last <= first:
        return {gate.name: Series(()) for gate in gates}

    def read(counters: Counters) -> tuple[list[Values], list[Values]]:
        canary, stable = (
            _series(api, it, first - LOOK_BACK * length, last, length)
            for it in (counters.canary, counters.stable)
        )
        return canary, stable

    def increases(series: tuple[list[Values], list[Values]]) -> Both:
        canary, stable = (_sum(it, first, length, scraped) for it in series)
        return canary, stable

    total = read(settings.total)
    completed = read(settings.completed) if settings.completed.canary else ([], [])
    both = (*total, *completed)
    scraped = frozenset(at for arm in both for values in arm for at in values)
    totals = increases(total)
    for found, known in zip(totals, increases(completed), strict=True):
        found |= {at: 0 for at, it in known.items() if not it and at not in found}
    return {
        gate.name: Series(
            tuple(_intervals(gate, totals, increases(read(gate.counters))))
        )
        for gate in gates
    }


def _intervals(gate: Gate, totals: Both, counted: Both) -> Iterable[Interval]:
    """The intervals in which both revisions were scraped."""
    for start in sorted(totals[0].keys() & totals[1].keys()):
        canary, stable = (
            _tally(gate, total[start], some.get(start))
            for total, some in zip(totals, counted, strict=True)
        )
        if canary and stable:
            yield Interval(start, canary, stable)


def _tally(gate: Gate, total: int, counted: int | None) -> Tally | None:
    """None if requests have no counter of the good ones: they are not all bad.

    Without a counter of the bad ones there are none: gateways make it at the first
    error. Counters of one scrape may differ by requests that end at that moment.
    """
    if counted is None and gate.of_good and total:
        return None
    bad = total - (counted or 0) if gate.of_good else counted or 0
    return Tally(total, min(max(bad, 0), total))


def _series(
    api: Api, selector: str, first: int, last: int, length: int
) -> list[Values]:
    """Values at the ends of intervals, only where a scrape fell into the interval."""
    query = {
        "query": f"last_over_time({selector}[{length}s])",
        "start": str(first),
        "end": str(last),
        "step": str(length),
    }
    answer = api.get(f"/api/v1/query_range?{urlencode(query)}")
    try:
        return [
            {int(float(at)): float(value) for at, value in one["values"]}
            for one in answer["data"]["result"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ApiError(f"Prometheus answered something else: {error!r}") from error


def _sum(
    series: Iterable[Values], first: int, length: int, scraped: Collection[int]
) -> dict[int, int]:
    """Increases of all series by the interval's start, from `first` on."""
    found: dict[int, int] = {}
    for values in series:
        for end, value in values.items():
            begin = end - length
            if end <= first or (grown := _grown(values, begin, value, scraped)) is None:
                continue
            found[begin] = found.get(begin, 0) + round(grown)
    return found


def _grown(
    values: Values, begin: int, value: float, scraped: Collection[int]
) -> float | None:
    """By how much a counter has grown in an interval; None if that is not known.

    One that was not there counts from 0 if others were: gateways make the counter of
    errors at the first error. After a gap nobody knows what it had counted before.
    """
    if begin in values:
        before = values[begin]
        return value - before if value >= before else value
    is_new = begin in scraped and not any(at < begin for at in values)
    return value if is_new else None
