"""Results of attributions: importances beside those of the first days, and drift.

An order of features counts as another where NDCG is below the model's floor and as low
a one is rare by sampling alone (p below `drift.alpha`), on `drift.needed` of the last
`drift.of` days: significance, size and persistence, as for data.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from model_monitor.attributions import stored
from model_monitor.attributions.settings import AttributionSettings
from model_monitor.attributions.stored import Values
from model_monitor.config import Config, Model
from model_monitor.figures.results import (
    Attribution,
    Attributions,
    Figure,
    Results,
    Revision,
)
from model_monitor.statistics import drift, ranking
from model_monitor.store import Store

Z = 1.959963984540054
RECENT_DAYS = 7
"""Number of whole days to attribute, also later if the job did not run."""


@dataclass(frozen=True)
class Importance:
    """A feature's importance and its standard error."""

    value: float
    error: float

    def figure(self) -> Figure:
        half = Z * self.error
        return Figure(self.value, max(self.value - half, 0.0), self.value + half)


class AttributionEvaluator:
    """Adds what is known of attributions to a model's results."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config, self._store = config, store

    def mark(self, model: Model) -> object:
        """Return what changes whenever results would be others."""
        return model.attributions and stored.mark(self._store, model.name)

    def added(self, results: Results, model: Model) -> Results:
        """Return the results with attributions, where the model has them."""
        settings = model.attributions
        today = dt.datetime.fromisoformat(results.now).date()
        if self._config.clock == "wall":
            self._forget(today)
        if settings is None:
            return results
        known = stored.by_revision(self._store, model.name)
        mounted = _revision(model)
        return replace(
            results,
            revisions=tuple(
                _with(
                    it,
                    known.get(it.revision, []),
                    model,
                    settings,
                    today if it.revision == mounted else None,
                )
                for it in results.revisions
            ),
        )

    def _forget(self, today: dt.date) -> None:
        """Delete old days of all models, also of those that are attributed no more."""
        retention = self._config.retention
        for name in stored.models(self._store):
            model = self._config.model(name)
            settings = model.attributions if model else None
            first_kept = settings.reference_days if settings else 0
            stored.forget(self._store, name, retention, today, first_kept)


def _with(
    revision: Revision,
    days: Sequence[Values],
    model: Model,
    settings: AttributionSettings,
    today: dt.date | None,
) -> Revision:
    """today: None of a revision that the job does not have."""
    missing = None
    if today is not None:
        history = [(it.date, it.answered) for it in revision.history]
        due = days_due(history, model.drift.min_rows, today)
        missing = len({*due} - {it["date"] for it in days})
    return replace(
        revision,
        attributions=over_days(days, model, settings),
        days_without_attributions=missing,
    )


def _revision(model: Model) -> str | None:
    """Return the revision in the model's folder, the one that the job can run."""
    if model.reference is None:
        return None
    try:
        content = yaml.safe_load(model.reference.with_name("model.yaml").read_text())
        return str(content["revision"])
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return None


def days_due(
    history: Sequence[tuple[str, int]], min_rows: int, today: dt.date
) -> list[str]:
    """Return the whole days of the last week with enough rows, the oldest first."""
    oldest = (today - dt.timedelta(days=RECENT_DAYS)).isoformat()
    return [it for it in whole_days(history, min_rows, today) if it >= oldest]


def whole_days(
    history: Sequence[tuple[str, int]], min_rows: int, today: dt.date
) -> list[str]:
    """Return the days that are over and have enough rows, the oldest first.

    history: days and the rows that were answered.
    """
    return sorted(
        day for day, rows in history if day < today.isoformat() and rows >= min_rows
    )


def over_days(
    days: Sequence[Values], model: Model, settings: AttributionSettings
) -> Attributions | None:
    """Return the newest day's attributions against the first ones; None without."""
    if not days:
        return None
    newest = days[-1]
    first = list(days[: settings.reference_days])
    later = list(days[settings.reference_days :])[-model.drift.of :]
    if len(first) < settings.reference_days:
        first = []
    reference = _mean(first)
    judged = [_judge(reference, _importances(it), model, settings) for it in later]
    detected = [it.detected for it in judged]
    last = judged[-1] if judged else _Judged(None, None, None, detected=False)
    return Attributions(
        day=newest["date"],
        rows=newest["rows"],
        outcome=newest["outcome"],
        filled=tuple(newest["filled"]),
        features=_features(newest, reference, _newest_loss(days)),
        reference_days=tuple(it["date"] for it in first),
        days=tuple(it["date"] for it in later),
        ndcg=last.ndcg,
        rank_correlation=last.rank_correlation,
        p=last.p,
        detected=last.detected,
        persistent=bool(later)
        and drift.persistent(detected, model.drift.needed, model.drift.of),
    )


@dataclass(frozen=True)
class _Judged:
    """One day against the reference."""

    ndcg: float | None
    rank_correlation: float | None
    p: float | None
    detected: bool


def _judge(
    reference: Mapping[str, Importance],
    current: Mapping[str, Importance],
    model: Model,
    settings: AttributionSettings,
) -> _Judged:
    names = [it for it in reference if it in current]
    before, now = [reference[it] for it in names], [current[it] for it in names]
    if not names:
        return _Judged(None, None, None, detected=False)
    values = [it.value for it in before], [it.value for it in now]
    found = ranking.ndcg(*values)
    p = ranking.p_value(
        values[0], [it.error for it in before], values[1], [it.error for it in now]
    )
    return _Judged(
        found,
        ranking.rank_correlation(*values),
        p,
        detected=found is not None
        and found < settings.ndcg_floor
        and p < model.drift.alpha,
    )


def _importances(day: Values) -> dict[str, Importance]:
    return {
        it["feature"]: Importance(it["value"], it["standard_error"])
        for it in day["features"]
    }


def _mean(days: Sequence[Values]) -> dict[str, Importance]:
    """Return the mean of the days' importances of the features that all have."""
    every = [_importances(it) for it in days]
    if not every:
        return {}
    names = [it for it in every[0] if all(it in day for day in every)]
    return {
        name: Importance(
            sum(day[name].value for day in every) / len(every),
            math.sqrt(sum(day[name].error ** 2 for day in every)) / len(every),
        )
        for name in names
    }


def _newest_loss(days: Sequence[Values]) -> dict[str, Figure]:
    day = next((it for it in reversed(days) if it["loss"] is not None), None)
    return {
        it["feature"]: Figure(it["loss"], it["loss_low"], it["loss_high"])
        for it in (day["features"] if day else ())
    }


def _features(
    day: Values, reference: Mapping[str, Importance], losses: Mapping[str, Figure]
) -> tuple[Attribution, ...]:
    entries: list[dict[str, Any]] = sorted(
        day["features"], key=lambda it: (-it["value"], it["feature"])
    )
    total = sum(it["value"] for it in entries)
    return tuple(
        Attribution(
            feature=it["feature"],
            figure=Figure(it["value"], it["low"], it["high"]),
            share=it["value"] / total if total > 0 else 0.0,
            reference=reference[it["feature"]].figure()
            if it["feature"] in reference
            else None,
            loss=losses.get(it["feature"]),
        )
        for it in entries
    )
