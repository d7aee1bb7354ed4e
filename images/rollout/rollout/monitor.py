"""Counts by revision and interval from the model monitor's answer.

contracts/revision_intervals.yaml. An interval that is not there of a revision had no
prediction, or its log was lost: the newest ones are asked for before a promotion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pod_parts.api_client import Api
from pod_parts.api_server import ApiError
from rollout import pairs
from rollout.cohorts import Cohorts, Scores, What
from rollout.counts import Interval, Series, Tally
from rollout.settings import Gate, Settings

Counted = Mapping[str, Any]
"""One interval of the answer."""
Arm = Mapping[int, Counted]
TP, FP, FN, TN = range(4)
ROWS, SELECTED, POSITIVES, SELECTED_POSITIVES = range(4)
"""Places in `cells` and in a group."""


def read_counts(
    api: Api, settings: Settings, since: int, now: int
) -> dict[str, Series]:
    """Whole intervals from `since` on, by gate; ApiError if they cannot be read.

    An interval that has begun before `since` holds predictions of the step before.
    """
    found: dict[str, Series] = {}
    answers: dict[str, Any] = {}
    for gate in settings.gates:
        if (cohorts := gate.cohorts) is None:
            continue
        if cohorts.model not in answers:
            path = f"/api/v1/models/{cohorts.model}/intervals?since={since}"
            answers[cohorts.model] = api.get(path)
        try:
            answer = answers[cohorts.model]
            if cohorts.what.is_paired:
                found[gate.name] = pairs.series(answer, settings, cohorts, now)
                continue
            canary, stable = _arms(answer, settings, cohorts)
            found[gate.name] = _series(gate, cohorts, canary, stable, now)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ApiError(f"the monitor answered something else: {error!r}") from error
    return found


def _arms(answer: Any, settings: Settings, cohorts: Cohorts) -> tuple[Arm, Arm]:
    """Intervals of canary and stable, by their start."""
    if answer["seconds"] != cohorts.interval_seconds:
        raise ValueError(f"intervals of {answer['seconds']} seconds")
    canary, stable = (
        {it["start"]: it for it in answer["revisions"].get(name, ())}
        for name in (settings.canary, settings.stable)
    )
    return canary, stable


def _series(
    gate: Gate,
    cohorts: Cohorts,
    canary: Arm,
    stable: Arm,
    now: int,
) -> Series:
    due = cohorts.due(now)
    ended = now - cohorts.interval_seconds
    starts = sorted(it for it in canary.keys() & stable.keys() if it <= ended)
    both = [(it, canary[it], stable[it]) for it in starts]
    what = cohorts.what
    return Series(
        tuple(_of_gate(cohorts, both)),
        coverage=_coverage(both, due) if gate.min_coverage else None,
        due=due,
        others=tuple(_of_others(cohorts, both)) if what.is_gap else (),
        scores=tuple(_scores(both)) if what is What.SCORES else (),
    )


Both = Sequence[tuple[int, Counted, Counted]]


def _coverage(both: Both, due: int) -> float | None:
    """Share of the predictions that have a label, of the revision with fewer."""
    found = [(one, other) for start, one, other in both if start < due]
    shares = []
    for arm in zip(*found, strict=True):
        answered = sum(it["answered"] for it in arm)
        labelled = sum(it["labelled"] for it in arm)
        shares.append(labelled / answered if answered else 0.0)
    return min(shares, default=None)


def _of_gate(cohorts: Cohorts, both: Both) -> Iterator[Interval]:
    for start, *arms in both:
        canary, stable = (_tally(cohorts, it) for it in arms)
        yield Interval(start, canary, stable)


def _of_others(cohorts: Cohorts, both: Both) -> Iterator[Interval]:
    for start, *arms in both:
        canary, stable = (_gap_tally(cohorts.what, _rest(cohorts, it)) for it in arms)
        yield Interval(start, canary, stable)


def _scores(both: Both) -> Iterator[Scores]:
    for start, canary, stable in both:
        yield Scores(start, tuple(canary["scores"]), tuple(stable["scores"]))


def _tally(cohorts: Cohorts, one: Counted) -> Tally:
    what = cohorts.what
    if what.is_gap:
        return _gap_tally(what, _group(cohorts, one))
    if what is What.SCORES:
        return Tally(sum(one["scores"]), 0)
    if what is What.ACCURACY:
        return Tally(one["labelled"], one["labelled"] - one["right"])
    cells = one["cells"]
    bad = cells[FN] if what is What.RECALL else cells[FP]
    return Tally(cells[TP] + bad, bad)


def _gap_tally(what: What, cells: Sequence[int]) -> Tally:
    if what is What.SELECTION:
        return Tally(cells[ROWS], cells[ROWS] - cells[SELECTED])
    positives = cells[POSITIVES]
    return Tally(positives, positives - cells[SELECTED_POSITIVES])


def _group(cohorts: Cohorts, one: Counted) -> Sequence[int]:
    """Return the counts of a group; none if the monitor withholds it."""
    groups = one["groups"].get(cohorts.attribute, {})
    found: Sequence[int] = groups.get(cohorts.group, [0] * 4)
    return found


def _rest(cohorts: Cohorts, one: Counted) -> Sequence[int]:
    groups = one["groups"].get(cohorts.attribute, {})
    others = [cells for name, cells in groups.items() if name != cohorts.group]
    return [sum(column) for column in zip(*others, strict=True)] or [0] * 4
