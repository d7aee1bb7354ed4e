"""Made-up counts of days, and the results of a model that has them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from model_monitor.config import Model
from model_monitor.counts.cohort import Cohort, CohortKey, Inputs
from model_monitor.counts.counts import Binned, Counts
from model_monitor.counts.reference import Reference
from model_monitor.figures.model_evaluator import ModelEvaluator
from model_monitor.figures.results import Results, Revision


def confused(tp: int, fp: int, fn: int, tn: int, *, unlabelled: int = 0) -> Counts:
    """Counts of decisions for 1 and 0."""
    cells = {("1", "1"): tp, ("1", "0"): fp, ("0", "1"): fn, ("0", "0"): tn}
    labelled = tp + fp + fn + tn
    return Counts(
        answered=labelled + unlabelled,
        labelled=labelled,
        decisions=Counter({"1": tp + fp, "0": fn + tn + unlabelled}),
        confusion=+Counter(cells),
    )


def binned(bins: Sequence[int], **others: int) -> Binned:
    return Binned(list(bins), **others)


def cohort(
    day: dt.date,
    counts: Counts,
    reference: Reference | None = None,
    revision: str = "r1",
    arm: str = "stable",
) -> Cohort:
    """Counts of a day, of records at noon."""
    bins = (reference or Reference()).bins_digest()
    noon = f"{day}T12:00:00.000000Z"
    counts = replace(counts, oldest=noon, newest=noon)
    key = CohortKey(day, "m")
    return Cohort(key, Inputs({}, "plan"), {(revision, arm): counts}, bins)


def results(
    model: Model,
    cohorts: Iterable[Cohort],
    now: dt.datetime,
    reference: Reference | None = None,
) -> Results:
    """The results of cohorts, one a day."""
    found = {it.key: it for it in cohorts}
    figures = ModelEvaluator(model, reference or Reference(), found.get)
    return figures.results(dict.fromkeys(found, "digest"), now)


def only(found: Results) -> Revision:
    """The only revision of results."""
    (revision,) = found.revisions
    return revision


def days(first: dt.date, number: int) -> list[dt.date]:
    return [first + dt.timedelta(days=it) for it in range(number)]
