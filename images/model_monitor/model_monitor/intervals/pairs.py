"""Copied requests beside their originals, by the interval of the copy's time.

A pair has the same id and row; both must have been answered. A copy of the last second
of a day (UTC) may miss its original, whose file is the next day's.
"""

from __future__ import annotations

from typing import Any

from model_monitor.counts.cohort import SHADOW
from model_monitor.counts.duckdb_engine import DuckDbEngine

SCORE_CUTS = ("0.01", "0.02", "0.05", "0.1", "0.2", "0.5")
"""Differences of scores above which pairs are counted, in the contract's order."""
SLACK = 1e-9
"""Two scores that are as far apart as a cut are not above it, whatever their last
binary digits are."""


def begin(engine: DuckDbEngine) -> None:
    """Make the table of all answers of the cohort."""
    engine.read_keys()
    engine.run(
        'create or replace temp table answers (id varchar, "row" integer, '
        "segment integer, start bigint, decision varchar, score double)"
    )


def keep(engine: DuckDbEngine, start: str) -> None:
    """Add the answers of the files that are open; `start`: SQL of the interval's."""
    engine.run(
        f'insert into answers select p.id, p."row", p.segment, {start}, p.decision, '  # noqa: S608
        "p.score from predictions as p where p.code is null and p.decision is not null"
    )


def add(found: dict[str, dict[int, dict[str, Any]]], engine: DuckDbEngine) -> None:
    """Count copies and pairs; needs the relation `labels`."""
    copied = [n for n, (_, arm) in enumerate(engine.segments) if arm == SHADOW]
    if not copied:
        return
    copies = f"({', '.join(map(str, copied))})"
    sql = f"select segment, start, count(*) from answers where segment in {copies} "  # noqa: S608
    for segment, start, n in engine.rows(sql + "group by 1, 2"):
        _of(found, engine, segment, start)["copies"] += n
    for copy, original, start, *numbers in engine.rows(_pairs(copies)):
        originals = _of(found, engine, copy, start)["originals"]
        revision, _ = engine.segments[original]
        one = _named(numbers)
        if known := originals.get(revision):
            one = {name: _plus(known[name], value) for name, value in one.items()}
        originals[revision] = one


def _pairs(copies: str) -> str:
    apart = ", ".join(
        f"count(case when abs(c.score - o.score) > {cut} + {SLACK} then 1 end)"
        for cut in SCORE_CUTS
    )
    return f"""
select c.segment, o.segment, c.start, count(*),
       count(case when c.decision <> o.decision then 1 end),
       count(case when c.score is not null and o.score is not null then 1 end),
       count(case when l.label is not null then 1 end),
       count(case when c.decision = l.label and o.decision <> l.label then 1 end),
       count(case when o.decision = l.label and c.decision <> l.label then 1 end),
       {apart}
from answers as c
join answers as o on c.id = o.id and c."row" = o."row"
left join labels as l on c.id = l.id and c."row" = l."row"
where c.segment in {copies} and o.segment not in {copies}
group by 1, 2, 3
"""  # noqa: S608, numbers alone


def _named(numbers: list[int]) -> dict[str, Any]:
    decided, changed, scored, labelled, copy, original, *apart = numbers
    return {
        "decided": decided,
        "changed": changed,
        "scored": scored,
        "apart": apart,
        "labelled": labelled,
        "only_copy_right": copy,
        "only_original_right": original,
    }


def _plus(left: Any, right: Any) -> Any:
    if isinstance(left, list):
        return [a + b for a, b in zip(left, right, strict=True)]
    return left + right


def _of(
    found: dict[str, dict[int, dict[str, Any]]],
    engine: DuckDbEngine,
    segment: int,
    start: int,
) -> dict[str, Any]:
    revision, _ = engine.segments[segment]
    intervals = found.setdefault(revision, {})
    return intervals.setdefault(start, {"copies": 0, "originals": {}})
