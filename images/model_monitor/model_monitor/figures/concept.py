"""Concept drift: whether errors have become more frequent than the baseline's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from model_monitor import config
from model_monitor.figures.results import Concept, ConceptPoint
from model_monitor.statistics.cusum import Cusum, minimum_batch, standardized_errors

RECENT_DAYS = 7
"""For how long an alarm counts."""


@dataclass(frozen=True)
class DayErrors:
    """Wrong decisions among the labelled ones of one due day."""

    day: dt.date
    errors: int
    labelled: int


def over_days(
    days: Iterable[DayErrors],
    end: dt.date,
    baseline_accuracy: float | None,
    settings: config.Concept,
) -> Concept | None:
    """Return the CUSUM of days in order of time; `end` is the first day not due.

    None without a baseline between 0 and 1, or without labels for one batch. Days of
    few labels are one batch with those after them.
    """
    if baseline_accuracy is None or not 0 < baseline_accuracy < 1:
        return None
    baseline = round(1 - baseline_accuracy, 12)
    everything = list(days)
    batches = _batches(everything, minimum_batch(baseline))
    if not batches:
        return None
    run = Cusum(settings.k, settings.h).run(
        standardized_errors(
            [it.errors for it in batches], [it.labelled for it in batches], baseline
        )
    )
    since = end - dt.timedelta(days=RECENT_DAYS)
    alarms = [batches[index].day for index in run.alarms]
    recent = [it for it in everything if it.day >= since]
    labelled = sum(it.labelled for it in recent)
    error = sum(it.errors for it in recent) / labelled if labelled else None
    return Concept(
        baseline=baseline,
        limit=settings.h,
        floor=settings.floor,
        statistic=float(run.statistic[-1]),
        alarms=tuple(day.isoformat() for day in alarms),
        error=error,
        detected=error is not None
        and error >= baseline + settings.floor
        and any(day >= since for day in alarms),
        points=tuple(
            ConceptPoint(batch.day.isoformat(), float(statistic))
            for batch, statistic in zip(batches, run.statistic, strict=True)
        ),
    )


def _batches(days: Iterable[DayErrors], least: int) -> list[DayErrors]:
    """Return days joined until each has enough labels; the rest at the end waits."""
    found = []
    errors = labelled = 0
    for day in days:
        errors += day.errors
        labelled += day.labelled
        if labelled >= least:
            found.append(DayErrors(day.day, errors, labelled))
            errors = labelled = 0
    return found
