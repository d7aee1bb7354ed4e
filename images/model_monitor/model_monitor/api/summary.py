"""Summary of a model in the list of all models: verdicts without their numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from model_monitor.config import Model
from model_monitor.metrics import CycleState

Values = Mapping[str, Any]


def of_cycle(state: CycleState) -> dict[str, Any]:
    """Return when the last pass ended well (null before the first), and since then."""
    ended = dt.datetime.fromtimestamp(state.ended, dt.UTC) if state.ended else None
    return {
        "ended": ended and ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "duration_seconds": state.duration,
        "failures": state.failures,
        "quarantined_files": state.quarantined,
    }


def of_model(
    model: Model, results: Values | None, now: dt.datetime | None
) -> dict[str, Any]:
    """Return one model; the `results` are None before the first pass."""
    if results is None:
        return {"model": model.name, "task": model.task.value, "results": None}
    age = _age(results["newest"], now)
    kept = ("now", "newest", "review_by", "review_is_overdue", "reference_is_missing")
    return {
        "model": model.name,
        "task": model.task.value,
        "results": {name: results[name] for name in kept}
        | {
            "is_stale": age is not None and age > model.stale_seconds,
            "problems": len(results["problems"]),
            "revisions": [_revision(it) for it in results["revisions"]],
        },
    }


def _age(newest: str, now: dt.datetime | None) -> float | None:
    """Return seconds; None without a record or before the first pass."""
    if not newest or now is None:
        return None
    return (now - dt.datetime.fromisoformat(newest)).total_seconds()


def _revision(revision: Values) -> dict[str, Any]:
    drift, concept = revision["drift"], revision["concept"]
    return {
        "revision": revision["revision"],
        "is_approved": revision["is_approved"],
        "newest": revision["newest"],
        "windows": revision["windows"],
        "drifted": [it["feature"] for it in _persistent(drift, "features")],
        "predictions_drifted": [
            it["feature"] for it in _persistent(drift, "predictions")
        ],
        "drift_day": drift and drift["day"],
        "concept_drifted": concept and concept["detected"],
        "fairness_outside": [
            {"attribute": audit["attribute"], "metric": it["metric"]}
            for audit in revision["fairness"]
            for it in audit["metrics"]
            if it["verdict"] == "outside limits"
        ],
    }


def _persistent(drift: Values | None, kind: str) -> list[Values]:
    return [it for it in drift[kind] if it["persistent"]] if drift else []
