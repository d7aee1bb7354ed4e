"""The content of a request to retrain: contracts/retraining_request.yaml."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from model_monitor.figures.results import FeatureDrift, Results, Revision
from model_monitor.retraining.causes import Finding, State

SCHEMA = 1


def content(
    request_id: str,
    results: Results,
    revision: Revision,
    new_causes: Sequence[str],
    findings: Mapping[str, Finding],
    *,
    min_coverage: float,
    kept_days: int,
) -> dict[str, Any]:
    """Return the request: its new causes, and the evidence of all present ones.

    min_coverage: share of labels that a day of training data has at least.
    kept_days: for how long predictions are kept; older days cannot be trained from.
    """
    return {
        "schema": SCHEMA,
        "id": request_id,
        "created": results.now,
        "model": results.model,
        "task": results.task,
        "revision": revision.revision,
        "causes": list(new_causes),
        "why": [
            evidence
            for it in findings.values()
            if it.state is State.PRESENT
            for evidence in it.evidence
        ],
        "context": {
            "attributions": _attributions(revision),
            "drift_day": revision.drift.day if revision.drift else None,
            "drifted_features": _drifted(
                revision.drift.features if revision.drift else ()
            ),
            "drifted_predictions": _drifted(
                revision.drift.predictions if revision.drift else ()
            ),
        },
        "training_days": _training_days(results, min_coverage, kept_days),
        "results_digest": hashlib.sha256(results.content()).hexdigest(),
    }


def _attributions(revision: Revision) -> dict[str, Any] | None:
    """Return whether the features' order of importance has changed, if it is known."""
    found = revision.attributions
    if found is None:
        return None
    return {
        "day": found.day,
        "ndcg": found.ndcg,
        "p": found.p,
        "drifted": found.persistent,
    }


def _drifted(features: Iterable[FeatureDrift]) -> list[dict[str, Any]]:
    return [
        {"name": it.feature, "effect": it.effect, "adjusted_p": it.adjusted_p}
        for it in features
        if it.persistent
    ]


def _training_days(
    results: Results, min_coverage: float, kept_days: int
) -> list[dict[str, Any]]:
    """Return the days, of all revisions, whose rows are kept and have their labels."""
    today = dt.datetime.fromisoformat(results.now).date()
    oldest = (today - dt.timedelta(days=kept_days)).isoformat()
    answered: dict[str, int] = defaultdict(int)
    labelled: dict[str, int] = defaultdict(int)
    for revision in results.revisions:
        for day in revision.history:
            if day.is_due and day.date >= oldest:
                answered[day.date] += day.answered
                labelled[day.date] += day.labelled
    return [
        {"date": date, "answered": answered[date], "labelled": labelled[date]}
        for date in sorted(answered)
        if labelled[date] and labelled[date] >= min_coverage * answered[date]
    ]
