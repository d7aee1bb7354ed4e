"""Counts of the model monitor, made row by row in plain Python: slow and obvious."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.support.monitor_logs import Label, Member, Row

Bins = Mapping[str, Sequence[float] | Sequence[str]]
"""Edges or categories, by feature; those of the score under `score`."""


def held(labels: Iterable[Label]) -> dict[tuple[str, int], str]:
    """Return the label that holds for each row, of any number of repeated ones."""
    latest: dict[tuple[str, int], Label] = {}
    for it in sorted(
        labels,
        key=lambda it: (it.label_time, it.received or it.label_time, it.source),
    ):
        latest[it.id, it.row] = it
    return {key: it.label for key, it in latest.items() if it.label is not None}


def counts(
    rows: Iterable[Row],
    labels: Iterable[Label],
    members: Iterable[Member],
    bins: Bins,
    positive: str,
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return, by revision and arm, what counts of a binary model are to be.

    `rows` are without duplicates. Slots of features: a bin's number, "missing",
    "unseen", "below" or "above".
    """
    true = held(labels)
    attributes = {(it.id, it.row): it.attributes for it in members}
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(_nothing)
    for it in rows:
        one = found[it.revision, it.arm]
        if it.code is not None:
            one["refused"][it.code] += 1
            continue
        one["answered"] += 1
        one["decisions"][it.decision] += 1
        label = true.get((it.id, it.row))
        for name, value in attributes.get((it.id, it.row), {}).items():
            is_true = None if label is None else int(label == positive)
            one["members"][name][value, int(it.decision == positive), is_true] += 1
        for name, some in bins.items():
            value = it.score if name == "score" else it.features.get(name)
            one["slots"][name][_slot(value, some)] += 1
        if label is None:
            continue
        one["labelled"] += 1
        one["confusion"][it.decision, label] += 1
        if it.score is not None:
            y = int(label == positive)
            one["scored"][y, math.floor(it.score * 100_000 + 0.5)] += 1
            one["brier"] += (it.score - y) ** 2
            one["log_loss"] -= math.log(it.score if y else 1 - it.score)
    return dict(found)


def _nothing() -> dict[str, Any]:
    counters = ("refused", "decisions", "confusion", "scored")
    return {
        **{name: Counter() for name in counters},
        **dict.fromkeys(("answered", "labelled", "brier", "log_loss"), 0),
        "members": defaultdict(Counter),
        "slots": defaultdict(Counter),
    }


def _slot(value: Any, bins: Sequence[float] | Sequence[str]) -> int | str:
    if value is None or value != value:  # noqa: PLR0124, NaN
        return "missing"
    if isinstance(bins[0], str):
        text = str(int(value)) if value == int(value) else str(value)
        return list(bins).index(text) if text in bins else "unseen"
    edges = [float(edge) for edge in bins]
    if isinstance(value, str):
        return "unseen"
    if value < edges[0]:
        return "below"
    for number, upper in enumerate(edges[1:]):
        if value < upper or (upper == edges[-1] and value == upper):
            return number
    return "above"
