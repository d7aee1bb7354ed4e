"""Counts of copies and their originals from the model monitor's answer.

contracts/revision_intervals.yaml, `pairs`. A copy without an answered original, or
whose original another revision than stable has answered, is not paired: both lower the
coverage, so that a log of which a part was lost holds the rollout. Where the coverage
is that of labels, the share of the pairs is asked for beside it (`min_paired`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.cohorts import SCORE_CUTS, Cohorts, What
from rollout.counts import Interval, Series, Tally
from rollout.settings import Settings


def series(answer: Any, settings: Settings, cohorts: Cohorts, now: int) -> Series:
    """The pairs by whole interval, and the share of the due copies that is counted.

    KeyError, TypeError, ValueError or IndexError if the answer is none.
    """
    if answer["seconds"] != cohorts.interval_seconds:
        raise ValueError(f"intervals of {answer['seconds']} seconds")
    due, ended = cohorts.due(now), now - cohorts.interval_seconds
    copied = {it["start"]: it for it in answer["pairs"].get(settings.canary, ())}
    intervals, copies, paired, decided = [], 0, 0, 0
    for start in sorted(it for it in copied if it <= ended):
        one = copied[start]
        pair = one["originals"].get(settings.stable)
        found = _interval(start, pair, cohorts) if pair else None
        if found:
            intervals.append(found)
        if start < due:
            copies += one["copies"]
            paired += found.canary.total if found else 0
            decided += pair["decided"] if pair else 0
    coverage = paired / copies if copies else None
    share = decided / copies if copies and cohorts.min_paired else None
    return Series(tuple(intervals), coverage, due=due, paired=share)


def _interval(start: int, pair: Mapping[str, Any], cohorts: Cohorts) -> Interval:
    if cohorts.what is What.PAIRED_ACCURACY:
        total = pair["labelled"]
        # Each lost its cases to the other.
        canary, stable = pair["only_original_right"], pair["only_copy_right"]
    elif cohorts.what is What.PAIRED_SCORES:
        place = SCORE_CUTS.index(cohorts.above)
        total, canary, stable = pair["scored"], pair["apart"][place], 0
    else:
        total, canary, stable = pair["decided"], pair["changed"], 0
    return Interval(start, Tally(total, canary), Tally(total, stable))
