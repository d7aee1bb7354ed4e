"""Counts as JSON values and back."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np

from model_monitor.counts.counts import STEPS, Binned, Counts, Losses, Sums
from model_monitor.statistics.regression import Errors


def to_json(counts: Counts) -> dict[str, Any]:
    """Return counts as plain values: equal counts give equal values."""
    return {
        "answered": counts.answered,
        "refused": dict(sorted(counts.refused.items())),
        "latency": asdict(counts.latency),
        "oldest": counts.oldest,
        "newest": counts.newest,
        "decisions": dict(sorted(counts.decisions.items())),
        "labelled": counts.labelled,
        "confusion": [[*cell, n] for cell, n in sorted(counts.confusion.items())],
        "scored": _scored(counts),
        "losses": asdict(counts.losses),
        "errors": asdict(counts.errors),
        "score": None if counts.score is None else asdict(counts.score),
        "features": {name: asdict(it) for name, it in sorted(counts.features.items())},
        "members": {
            attribute: [
                [*member, cells[member]]
                for member in sorted(cells, key=lambda it: (*it[:2], it[2] is None, it))
            ]
            for attribute, cells in sorted(counts.members.items())
        },
    }


def of_json(raw: dict[str, Any]) -> Counts:
    """Return the counts of what `to_json` gave."""
    score = raw["score"]
    return Counts(
        answered=raw["answered"],
        refused=Counter(raw["refused"]),
        latency=Sums(**raw["latency"]),
        oldest=raw["oldest"],
        newest=raw["newest"],
        decisions=Counter(raw["decisions"]),
        labelled=raw["labelled"],
        confusion=Counter({(d, label): n for d, label, n in raw["confusion"]}),
        scored=_dense(raw["scored"]),
        losses=Losses(**raw["losses"]),
        errors=Errors(**raw["errors"]),
        score=None if score is None else _binned(score),
        features={name: _binned(it) for name, it in raw["features"].items()},
        members={
            attribute: Counter(
                {(m, selected, label): n for m, selected, label, n in it}
            )
            for attribute, it in raw["members"].items()
        },
    )


def _binned(raw: dict[str, Any]) -> Binned:
    return Binned(**raw | {"sums": Sums(**raw["sums"])})


def _scored(counts: Counts) -> list[list[list[int]]] | None:
    """Return, for the labels 0 and 1, the steps that occur and how often each does."""
    if counts.scored is None:
        return None
    found = []
    for row in counts.scored:
        (steps,) = np.nonzero(row)
        found.append([steps.tolist(), row[steps].tolist()])
    return found


def _dense(raw: list[list[list[int]]] | None) -> np.ndarray | None:
    if raw is None:
        return None
    scored = np.zeros((2, STEPS + 1), np.int64)
    for label, (steps, numbers) in enumerate(raw):
        scored[label, steps] = numbers
    return scored
