"""Causes to retrain a model, from its results.

Two kinds count: a metric below its baseline, and concept drift. Both need labels. That
inputs differ from the training data is not a cause: quality may be as good as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from model_monitor.figures.results import Judgement, Revision, Verdict, Window

CONCEPT = "concept"


class State(StrEnum):
    """The state of a cause in the newest results."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """Not judged, for example because of too few labels."""


@dataclass(frozen=True)
class Finding:
    """One possible cause, and of a present one the evidence."""

    state: State
    evidence: tuple[dict[str, Any], ...] = ()


def of_revision(revision: Revision) -> dict[str, Finding]:
    """Return every possible cause by name: "quality METRIC", and "concept"."""
    metrics = {
        judgement.metric
        for window in revision.windows.values()
        for judgement in window.judgements
    }
    found = {f"quality {it}": _quality(revision, it) for it in sorted(metrics)}
    return {**found, CONCEPT: _concept(revision)}


def _quality(revision: Revision, metric: str) -> Finding:
    verdicts = set[Verdict]()
    evidence = []
    for name, window, judgement in _judged(revision, metric):
        verdicts.add(judgement.verdict)
        if judgement.verdict is Verdict.BELOW:
            evidence.append(_below(name, window, judgement))
    if evidence:
        return Finding(State.PRESENT, tuple(evidence))
    return Finding(State.ABSENT if Verdict.WITHIN in verdicts else State.UNKNOWN)


def _judged(revision: Revision, metric: str) -> Iterator[tuple[str, Window, Judgement]]:
    for name, window in revision.windows.items():
        for judgement in window.judgements:
            if judgement.metric == metric:
                yield name, window, judgement


def _below(name: str, window: Window, judgement: Judgement) -> dict[str, Any]:
    figure = window.metrics[judgement.metric]
    return {
        "kind": "quality",
        "metric": judgement.metric,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "baseline": judgement.baseline,
        "margin": judgement.margin,
        "window": name,
        "start": window.start,
        "end": window.end,
        "answered": window.answered,
        "labelled": window.labelled,
        "coverage": window.coverage,
    }


def _concept(revision: Revision) -> Finding:
    concept = revision.concept
    if concept is None:
        return Finding(State.UNKNOWN)
    if not concept.detected:
        return Finding(State.ABSENT)
    evidence = {
        "kind": "concept",
        "baseline": concept.baseline,
        "limit": concept.limit,
        "floor": concept.floor,
        "statistic": concept.statistic,
        "alarms": list(concept.alarms),
        "error": concept.error,
    }
    return Finding(State.PRESENT, (evidence,))
