"""Conditions that must hold for a while, without Prometheus' own `for`.

A `for` is counted in Prometheus' memory: after a restart those of up to ten minutes
(`rules.alert.for-grace-period`) start anew, so that a Prometheus that keeps restarting
never fires. A window over stored samples is the same before and after a restart.
https://prometheus.io/docs/prometheus/latest/querying/basics/#subquery
"""

from __future__ import annotations

import math

WATCHED = "rules:watched"
"""1 from a rule group's first evaluation on. Before, nothing was watched: without this,
the time before a model existed would count as time without the model."""
POINTS = 30
"""Minimum number of evaluations of a condition within its window."""
LONGEST_STEP_SECONDS = 60
"""A condition that was not true for so long is noticed in every window."""

Rule = dict[str, object]


def watched(group: str) -> Rule:
    """The recording rule that each rule group starts with."""
    return {"record": WATCHED, "expr": "vector(1)", "labels": {"group": group}}


def held(condition: str, seconds: int, group: str) -> str:
    """The condition, once it has been true for `seconds` without a break.

    The value and labels stay the condition's own. `group`: the rule group of the alert.
    """
    if not seconds:
        return condition
    step = min(math.ceil(seconds / POINTS), LONGEST_STEP_SECONDS)
    seen = f'(({condition}) and on() {WATCHED}{{group="{group}"}})[{seconds}s:{step}s]'
    # Prometheus 2 counts a point at the window's far end as well, version 3 does not.
    return f"({condition}) and count_over_time({seen}) >= {seconds // step}"
