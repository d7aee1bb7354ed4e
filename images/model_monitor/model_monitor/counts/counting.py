"""Counts of predictions by the queries, on any engine that runs them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

import numpy as np

from model_monitor.counts import queries
from model_monitor.counts.counts import STEPS, Binned, Counts, Losses, Sums
from model_monitor.counts.plan import Plan, Task
from model_monitor.counts.reference import Variable
from model_monitor.statistics.regression import Errors

MOST_CLASSES = 1000
"""Different decisions beyond which a model is not one of classes."""

Rows = Sequence[Sequence[Any]]
BinnedColumns = Mapping[str, Sequence[tuple[int, Binned]]]
"""Counts by segment, by column."""


class CountsError(Exception):
    """A model's log cannot be counted as its settings say."""


class Engine(Protocol):
    """Runs SQL over the relations that `queries` describes."""

    def rows(self, sql: str) -> Rows:
        """Return the rows of a query."""

    def keep(self, name: str, sql: str) -> None:
        """Make a relation of a query's rows, in place of an earlier one."""

    def bins(
        self, columns: Mapping[str, Variable], others: Sequence[str]
    ) -> BinnedColumns:
        """Return the counts of some columns of `predictions` by bins.

        They are those of `queries.slots`, where the engine has a faster way. Of columns
        that it leaves out, and of `others`, that text reads the relation.
        """


def count(
    engine: Engine, plan: Plan, columns: Collection[str], *, protected: bool
) -> dict[int, Counts]:
    """Return the counts of the relation `predictions`, by segment.

    `columns` are its columns: a feature that has none there was not logged and is not
    counted. `protected`: whether there are protected attributes.
    """
    found = _Found()
    _traffic(found, engine.rows(queries.TRAFFIC))
    engine.keep("judged", queries.JUDGED)
    for segment, n in engine.rows(queries.LABELLED):
        found[segment].labelled = n
    if plan.task is Task.REGRESSION:
        for segment, *sums in engine.rows(queries.ERRORS):
            found[segment].errors = Errors(*sums)
    else:
        _decisions(found, engine)
    if plan.task is Task.BINARY:
        _scores(found, engine.rows(queries.scores(plan.positive)))
        if protected and plan.attributes:
            _members(found, engine, plan)
    _distributions(found, engine, plan, columns)
    return dict(found)


class _Found(dict[int, Counts]):
    def __missing__(self, segment: int) -> Counts:
        self[segment] = Counts()
        return self[segment]


def _traffic(found: _Found, rows: Rows) -> None:
    for segment, code, n, latency_n, latency, squares, oldest, newest in rows:
        part = Counts(
            latency=Sums(latency_n, latency or 0.0, squares or 0.0),
            oldest=_time(oldest),
            newest=_time(newest),
        )
        if code is None:
            part.answered = n
        else:
            part.refused[code] = n
        found[segment] += part


def _time(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="microseconds") + "Z"


def _decisions(found: _Found, engine: Engine) -> None:
    rows = engine.rows(queries.DECISIONS)
    classes = {decision for _, decision, _ in rows}
    if len(classes) > MOST_CLASSES:
        raise CountsError(
            f"{len(classes)} different decisions, such as {min(classes)!r}: more than "
            f"{MOST_CLASSES} are too many; set `task` of the model to regression"
        )
    for segment, decision, n in rows:
        found[segment].decisions[decision] = n
    for segment, decision, label, n in engine.rows(queries.CONFUSION):
        found[segment].confusion[decision, label] = n


def _scores(found: _Found, rows: Rows) -> None:
    for segment, group in _by_segment(rows):
        columns = np.array(group, np.float64)
        positive, step, n = columns[:, :3].T.astype(np.int64)
        scored = np.zeros((2, STEPS + 1), np.int64)
        scored[positive, step] = n
        brier, log_loss = columns[:, 3:].sum(axis=0).tolist()
        found[segment].scored = scored
        found[segment].losses = Losses(int(n.sum()), brier, log_loss)


def _members(found: _Found, engine: Engine, plan: Plan) -> None:
    engine.keep("audited", queries.audited(plan.attributes, plan.positive))
    for attribute in plan.attributes:
        for segment, group in _by_segment(engine.rows(queries.groups(attribute))):
            found[segment].members[attribute] = Counter(
                {(member, selected, label): n for member, selected, label, n in group}
            )


def _distributions(
    found: _Found, engine: Engine, plan: Plan, columns: Collection[str]
) -> None:
    """Count the score, or the number that is predicted, and the features by bins."""
    output = "decision_number" if plan.task is Task.REGRESSION else "score"
    held = {
        it.name: [kind for kind in (f"x:{it.name}", f"t:{it.name}") if kind in columns]
        for it in plan.reference.features
    }
    single = {output: plan.reference.score}
    single |= {
        held[it.name][0]: it
        for it in plan.reference.features
        if len(held[it.name]) == 1
    }
    counted = engine.bins(
        single, [it for own in held.values() for it in own[1:] and own]
    )
    for segment, binned in _binned(engine, counted, single[output], [output]):
        found[segment].score = binned
    for feature in plan.reference.features:
        for segment, binned in _binned(engine, counted, feature, held[feature.name]):
            found[segment].features[feature.name] = binned


def _binned(
    engine: Engine, counted: BinnedColumns, variable: Variable, columns: Sequence[str]
) -> Iterable[tuple[int, Binned]]:
    """Return the counts of one variable by segment; it has no column, one or two."""
    if not columns:
        return
    if len(columns) == 1 and columns[0] in counted:
        yield from counted[columns[0]]
        return
    words = next((it for it in columns if it.startswith("t:")), None)
    number = next((it for it in columns if it != words), None)
    rows = engine.rows(queries.slots(variable, number, words))
    for segment, group in _by_segment(rows):
        yield segment, Binned.of(variable.bins, group)


def _by_segment(rows: Rows) -> Iterable[tuple[int, list[Sequence[Any]]]]:
    """Yield each segment with the rest of its rows."""
    first = itemgetter(0)
    for segment, group in groupby(sorted(rows, key=first), key=first):
        yield segment, [row[1:] for row in group]
