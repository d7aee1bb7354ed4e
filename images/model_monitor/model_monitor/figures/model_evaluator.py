"""All results of one model, calculated from its cohorts' counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from model_monitor.config import Model
from model_monitor.counts.cohort import Cohort, CohortKey
from model_monitor.counts.counts import Counts, total
from model_monitor.counts.plan import Task
from model_monitor.counts.reference import Reference
from model_monitor.figures import concept, drift, groups, histograms, quality
from model_monitor.figures.concept import DayErrors
from model_monitor.figures.drift import DayDrift
from model_monitor.figures.results import (
    Concept,
    Day,
    Drift,
    Fairness,
    Figure,
    Results,
    Revision,
)

WINDOWS = {"1d": 1, "7d": 7, "30d": 30}
"""Days of each window."""
LONGEST_DAYS = max(WINDOWS.values())
MOST_REVISIONS = 20
"""Revisions that are shown: those with the newest records, and as many of those with
the newest records that are due. Where one is released each day, the first have none."""

Load = Callable[[CohortKey], Cohort | None]
"""Reads the counts of a cohort."""


@dataclass(frozen=True)
class _DayResults:
    """Results of one day and revision, which change only with the counts."""

    answered: int
    refused: int
    labelled: int
    wrong: int
    judged: int
    newest: str
    metrics: Mapping[str, Figure]
    drift: DayDrift


class ModelEvaluator:
    """Makes the results of one model; days whose counts did not change are kept."""

    def __init__(self, model: Model, reference: Reference, load: Load) -> None:
        self._model, self._reference, self._load = model, reference, load
        self._days: dict[dt.date, tuple[str, dict[str, _DayResults]]] = {}

    def results(
        self,
        cohorts: Mapping[CohortKey, str],
        now: dt.datetime,
        problems: Sequence[str] = (),
        reference_is_missing: bool = False,
    ) -> Results:
        """Return all results as of `now` (UTC).

        `cohorts` are the model's cohorts with the digest of what each was counted from.
        """
        model, today = self._model, now.date()
        keys = sorted(key for key in cohorts if key.date <= today)
        due_end = (now - dt.timedelta(days=model.label_horizon_days)).date()
        loaded = self._read(keys, cohorts, today, due_end)
        newest = self._newest_by_revision(keys)
        of_model = max(newest.values(), default="")
        horizon = min(due_end, today) - dt.timedelta(days=LONGEST_DAYS)
        is_due = [key for key in keys if key.date < due_end]
        shown = {*_first(newest), *_first(self._newest_by_revision(is_due))}
        revisions = [
            replace(
                self._revision(it, loaded, today, due_end),
                is_retired=self._is_retired(newest[it], of_model),
            )
            for it in _newest_first(newest)
            if it in shown and newest[it] >= horizon.isoformat()
        ]
        review_by = model.review_by
        return Results(
            model=model.name,
            task=model.task.value,
            now=now.isoformat(timespec="seconds").removesuffix("+00:00") + "Z",
            newest=of_model,
            stale_seconds=model.stale_seconds,
            review_by=None if review_by is None else review_by.isoformat(),
            review_is_overdue=review_by is not None and review_by < today,
            problems=tuple(problems),
            reference_is_missing=reference_is_missing,
            revisions=tuple(revisions),
        )

    def _is_retired(self, own: str, newest: str) -> bool:
        """Tell it from the newest records of a revision and of the model.

        By the log, not by the clock: where all is silent, nothing has changed.
        """
        if not own or not newest:
            return False
        silence = dt.datetime.fromisoformat(newest) - dt.datetime.fromisoformat(own)
        return silence > dt.timedelta(days=self._model.retire_after_days)

    def _read(
        self,
        keys: Iterable[CohortKey],
        digests: Mapping[CohortKey, str],
        today: dt.date,
        due_end: dt.date,
    ) -> dict[dt.date, Cohort]:
        """Bring the days up to date; return the cohorts that windows are made of."""
        longest = dt.timedelta(days=LONGEST_DAYS)
        loaded: dict[dt.date, Cohort] = {}
        for key in keys:
            in_window = key.date >= today - longest or (
                due_end - longest <= key.date < due_end
            )
            known = self._days.get(key.date)
            is_known = known is not None and known[0] == digests[key]
            if is_known and not in_window:
                continue
            cohort = self._load(key)
            if cohort is None:
                continue
            if not is_known:
                figures = {it: self._day(cohort, it) for it in cohort.revisions}
                self._days[key.date] = digests[key], figures
            if in_window:
                loaded[key.date] = _without_bins(cohort)
        for gone in self._days.keys() - {key.date for key in keys}:
            del self._days[gone]
        return loaded

    def _day(self, cohort: Cohort, revision: str) -> _DayResults:
        model, counts = self._model, cohort.of(revision)
        if cohort.bins != self._reference.bins_digest():
            # From an earlier reference, and its rows are too old to be counted again.
            counts = replace(counts, features={}, score=None)
        confusion = counts.confusion
        right = sum(
            n for (decision, label), n in confusion.items() if decision == label
        )
        judged = confusion.total()
        return _DayResults(
            answered=counts.answered,
            refused=counts.refused.total(),
            labelled=counts.labelled,
            wrong=judged - right,
            judged=judged,
            newest=counts.newest,
            metrics=quality.metrics(counts, model.task, model.positive),
            drift=drift.of_day(counts, self._reference, model.task, model.drift),
        )

    def _newest_by_revision(self, keys: Iterable[CohortKey]) -> dict[str, str]:
        newest: dict[str, str] = {}
        for key in keys:
            _, figures = self._days.get(key.date, ("", {}))
            for revision, day in figures.items():
                newest[revision] = max(newest.get(revision, ""), day.newest)
        return newest

    def _revision(
        self,
        revision: str,
        loaded: Mapping[dt.date, Cohort],
        today: dt.date,
        due_end: dt.date,
    ) -> Revision:
        model = self._model
        days = {
            date: figures[revision]
            for date, (_, figures) in sorted(self._days.items())
            if revision in figures
        }
        recent = [
            it
            for date, it in loaded.items()
            if date >= today - dt.timedelta(days=LONGEST_DAYS)
        ]
        approved = model.approved_revisions
        due = {
            name: _total(loaded, revision, due_end - dt.timedelta(days=length), due_end)
            for name, length in WINDOWS.items()
        }
        return Revision(
            revision=revision,
            is_approved=approved is None or revision in approved,
            newest=max(day.newest for day in days.values()),
            arms=_arms(recent, revision),
            windows={
                name: quality.window(
                    counts,
                    (due_end - dt.timedelta(days=WINDOWS[name])).isoformat(),
                    due_end.isoformat(),
                    model,
                    self._reference.metrics or {},
                )
                for name, counts in due.items()
            },
            drift=self._drift(revision, days, today),
            concept=self._concept(days, due_end),
            fairness=self._fairness(
                total(it.of(revision) for it in recent), due["30d"], due_end
            ),
            history=tuple(
                _history(date, day, date < due_end) for date, day in days.items()
            ),
        )

    def _drift(
        self, revision: str, days: Mapping[dt.date, _DayResults], today: dt.date
    ) -> Drift | None:
        """Return drift of whole days: the hours of half a day are not those of all."""
        oldest = today - dt.timedelta(days=LONGEST_DAYS)
        least = self._model.drift.min_rows
        whole = {
            date.isoformat(): day.drift
            for date, day in days.items()
            if oldest <= date < today and day.answered >= least
        }
        found = drift.over_days(whole, self._reference, self._model.drift)
        return None if found is None else self._shown(revision, found)

    def _shown(self, revision: str, found: Drift) -> Drift:
        """Return the drift with the counts of its day, which no window keeps."""
        key = CohortKey(dt.date.fromisoformat(found.day), self._model.name)
        cohort = self._load(key)
        if cohort is None or cohort.bins != self._reference.bins_digest():
            return found
        return histograms.added(found, cohort.of(revision), self._reference)

    def _concept(
        self, days: Mapping[dt.date, _DayResults], due_end: dt.date
    ) -> Concept | None:
        if self._model.task is Task.REGRESSION:
            return None
        least = self._model.min_coverage
        due = [
            DayErrors(date, day.wrong, day.judged)
            for date, day in days.items()
            if date < due_end and day.judged and day.judged >= least * day.answered
        ]
        return concept.over_days(due, due_end, self._accuracy(), self._model.concept)

    def _accuracy(self) -> float | None:
        """Return the accuracy that the model should have."""
        for it in self._model.quality:
            if it.metric == "accuracy" and it.baseline != "reference":
                return float(it.baseline)
        return (self._reference.metrics or {}).get("accuracy")

    def _fairness(
        self, all_rows: Counts, due: Counts, end: dt.date
    ) -> tuple[Fairness, ...]:
        settings = self._model.fairness
        found = [
            groups.of_attribute(it, all_rows, due, end.isoformat(), settings)
            for it in settings.attributes
        ]
        return tuple(it for it in found if it is not None)


def _newest_first(newest: Mapping[str, str]) -> list[str]:
    return sorted(newest, key=lambda it: (newest[it], it), reverse=True)


def _first(newest: Mapping[str, str]) -> list[str]:
    return _newest_first(newest)[:MOST_REVISIONS]


def _without_bins(cohort: Cohort) -> Cohort:
    """Return what windows add up; bins of two references could not be added."""
    return replace(
        cohort,
        segments={
            segment: replace(counts, features={}, score=None)
            for segment, counts in cohort.segments.items()
        },
    )


def _total(
    loaded: Mapping[dt.date, Cohort], revision: str, start: dt.date, end: dt.date
) -> Counts:
    return total(it.of(revision) for date, it in loaded.items() if start <= date < end)


def _arms(cohorts: Iterable[Cohort], revision: str) -> dict[str, int]:
    arms: dict[str, int] = {}
    for cohort in cohorts:
        for (found, arm), counts in cohort.segments.items():
            if found == revision:
                arms[arm] = arms.get(arm, 0) + counts.answered
    return dict(sorted(arms.items()))


def _history(date: dt.date, day: _DayResults, is_due: bool) -> Day:
    return Day(
        date=date.isoformat(),
        answered=day.answered,
        refused=day.refused,
        labelled=day.labelled,
        is_due=is_due,
        metrics=day.metrics,
        drifted=day.drift.drifted,
        largest_effect=day.drift.largest_effect,
        prediction_drifted=day.drift.prediction_drifted,
    )
