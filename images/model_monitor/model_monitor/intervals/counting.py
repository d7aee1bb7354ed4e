"""The counts of one day by revision and interval of the prediction's time.

A label counts where its prediction was made, however late it comes: the newest label of
a row holds. Copied requests count beside their originals alone (`intervals.pairs`).
Read by DuckDB from the relations of `counts.duckdb_engine`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model_monitor.counts.cohort import SHADOW
from model_monitor.counts.duckdb_engine import DuckDbEngine
from model_monitor.counts.listing import CohortFiles
from model_monitor.counts.plan import Plan, Task
from model_monitor.intervals import pairs
from model_monitor.intervals.settings import Intervals
from model_monitor.store.database import database, name, text
from model_monitor.store.store import Store

SCORE_BINS = 10
"""Bins of equal width, from 0 to 1; the last one includes 1."""
LEAST_CELL = 10
"""People of a group in an interval below which no group of the interval is counted: so
few people could be identified. The rest cannot be found by subtraction either."""
REST = ""
"""Name of all values of an attribute that are not counted apart."""

Counted = dict[str, dict[int, dict[str, Any]]]
"""By revision, and by the start of the interval in Unix seconds."""


@dataclass(frozen=True)
class Counts:
    """One cohort's counts, of requests and of copies (by the copies' revision)."""

    revisions: Counted = field(default_factory=dict)
    pairs: Counted = field(default_factory=dict)


def count(
    store: Store, files: CohortFiles, plan: Plan, settings: Intervals, memory_mib: int
) -> Counts:
    """Return one cohort's counts. Raises duckdb.Error."""
    counts = Counts()
    found = counts.revisions
    with database(store.root, memory_mib, reads_records=False) as connection:
        engine = DuckDbEngine(connection)
        engine.open_labels(list(files.labels))
        has_groups = engine.open_protected(list(files.protected), list(settings.groups))
        if settings.pairs:
            pairs.begin(engine)
        for _ in engine.chunks(list(files.predictions), []):
            if settings.pairs:
                pairs.keep(engine, start_of(settings))
            _add_decisions(found, engine, plan, settings)
            if plan.task is Task.BINARY:
                _add_scores(found, engine, settings)
                if has_groups:
                    for attribute in settings.groups:
                        _add_groups(found, engine, plan, settings, attribute)
        if settings.pairs:
            pairs.add(counts.pairs, engine)
    for intervals in found.values():
        for one in intervals.values():
            one["groups"] = _shown(one["groups"])
    return counts


def _add_decisions(
    found: Counted, engine: DuckDbEngine, plan: Plan, settings: Intervals
) -> None:
    is_positive = f"p.decision = {text(plan.positive)}"
    was_positive = f"l.label = {text(plan.positive)}"
    sql = f"""
select p.segment, {start_of(settings)} as start, count(*),
       count(case when l.label is not null then 1 end),
       count(case when p.decision = l.label then 1 end),
       count(case when {is_positive} and {was_positive} then 1 end),
       count(case when {is_positive} and not {was_positive} then 1 end),
       count(case when not {is_positive} and {was_positive} then 1 end),
       count(case when not {is_positive} and not {was_positive} then 1 end)
from predictions as p
left join labels as l on p.id = l.id and p."row" = l."row"
where p.code is null and p.decision is not null
group by 1, 2
"""  # noqa: S608, literals are quoted above
    for segment, start, answered, labelled, right, *cells in _rows(engine, sql):
        one = _of(found, engine, segment, start)
        one["answered"] += answered
        one["labelled"] += labelled
        one["right"] += right
        one["cells"] = _sum(one["cells"], cells)


def _add_scores(found: Counted, engine: DuckDbEngine, settings: Intervals) -> None:
    sql = f"""
select p.segment, {start_of(settings)} as start,
       least(cast(floor(p.score * {SCORE_BINS}) as integer), {SCORE_BINS - 1}) as slot,
       count(*)
from predictions as p
where p.code is null and p.decision is not null and p.score between 0 and 1
group by 1, 2, 3
"""  # noqa: S608, numbers alone
    for segment, start, slot, n in _rows(engine, sql):
        _of(found, engine, segment, start)["scores"][slot] += n


def _add_groups(
    found: Counted,
    engine: DuckDbEngine,
    plan: Plan,
    settings: Intervals,
    attribute: str,
) -> None:
    column = f"a.{name(f'a:{attribute}')}"
    known = ", ".join(text(it) for it in settings.groups[attribute])
    is_positive = f"p.decision = {text(plan.positive)}"
    was_positive = f"l.label = {text(plan.positive)}"
    sql = f"""
select p.segment, {start_of(settings)} as start,
       case when {column} in ({known}) then {column} else '{REST}' end as member,
       count(*),
       count(case when {is_positive} then 1 end),
       count(case when {was_positive} then 1 end),
       count(case when {is_positive} and {was_positive} then 1 end)
from predictions as p
join protected as a on p.id = a.id and p."row" = a."row"
left join labels as l on p.id = l.id and p."row" = l."row"
where p.code is null and p.decision is not null and {column} is not null
group by 1, 2, 3
"""  # noqa: S608, names and literals are quoted above
    for segment, start, member, *cells in _rows(engine, sql):
        groups = _of(found, engine, segment, start)["groups"]
        members = groups.setdefault(attribute, {})
        members[member] = _sum(members.get(member, [0] * 4), cells)


def _rows(engine: DuckDbEngine, sql: str) -> Iterator[tuple[Any, ...]]:
    """Rows whose first column is the segment, without those of copied requests."""
    return (it for it in engine.rows(sql) if engine.segments[it[0]][1] != SHADOW)


def start_of(settings: Intervals) -> str:
    """SQL of the start of a prediction's interval, in Unix seconds."""
    length = settings.seconds
    return f'cast(floor(epoch(p."time") / {length}) as bigint) * {length}'


def _of(
    found: Counted, engine: DuckDbEngine, segment: int, start: int
) -> dict[str, Any]:
    """The counts of a segment's revision and an interval; those of its arms add up."""
    revision, _ = engine.segments[segment]
    return found.setdefault(revision, {}).setdefault(
        start,
        {
            "answered": 0,
            "labelled": 0,
            "right": 0,
            "cells": [0] * 4,
            "scores": [0] * SCORE_BINS,
            "groups": {},
        },
    )


def _sum(left: Sequence[int], right: Sequence[int]) -> list[int]:
    return [a + b for a, b in zip(left, right, strict=True)]


def _shown(groups: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, Any]:
    """The attributes of which no group has between 1 and LEAST_CELL people.

    What needs labels is left out too where a group has few people with positive labels
    (the cells become rows and selected rows alone).
    """
    return dict(_attributes(groups))


def _attributes(
    groups: Mapping[str, Mapping[str, Sequence[int]]],
) -> Iterator[tuple[str, dict[str, list[int]]]]:
    for attribute, members in groups.items():
        if any(0 < cells[0] < LEAST_CELL for cells in members.values()):
            continue
        judged = all(not 0 < cells[2] < LEAST_CELL for cells in members.values())
        yield (
            attribute,
            {
                member: [*cells] if judged else [*cells[:2], 0, 0]
                for member, cells in sorted(members.items())
            },
        )
