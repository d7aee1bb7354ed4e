"""The count queries: one SQL text each, which DuckDB runs and Spark could.

They read three relations that `source` makes of a store's files:

    predictions   one row for each (id, row): id, row, time, segment, code (null unless
                  refused), latency_seconds, decision, decision_number, score, and
                  `x:NAME` or `t:NAME`, or both, of every feature that is logged
    labels        the label that holds for each (id, row): label, label_number
    protected     id, row, and `a:NAME` of every attribute that is asked for

`segment` is a number that stands for a revision and arm. JUDGED and `audited` make two
more relations, under these names, that later texts read. Only functions that both
engines have are used; tests translate every text with SQLGlot, and run it on Spark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from model_monitor.counts.reference import Variable
from model_monitor.store.database import name, text

SCORE_STEP = 1e-5
"""Width of the bins of the scores that ranks and calibration are made from. Scores in
one bin count as equal: the AUC is off by at most half the share of pairs of a positive
and a negative row that share a bin (of scores spread evenly, 5e-6), a mean score by at
most 5e-6. The losses are summed of the scores as they are."""
LEAST_PROBABILITY = 2.0**-52
"""Probabilities nearer to 0 or 1 than this count as if they were just so near, in the
logarithmic loss; the same as `statistics.scores.log_loss`."""
NUMBER = (
    "(?i)^ *([+-]?([0-9]+[.]?[0-9]*(e[+-]?[0-9]+)?|[.][0-9]+(e[+-]?[0-9]+)?"
    "|infinity|inf)|nan) *"
)
"""Texts of numbers that both engines read as the same one: 1_000 is a number to DuckDB
alone, 5d and 0x1p3 are to Spark. To be removed from the text, not to be found in it: in
Java, `$` is also before a last line feed."""
UNSEEN = -1
"""Slot of values that are not numbers or categories of the reference; see `slots`."""

JUDGED = """
select p.segment, p.decision, p.decision_number, p.score,
       l.label, l.label_number
from predictions as p
join labels as l on p.id = l.id and p."row" = l."row"
where p.code is null
"""

TRAFFIC = """
select segment, code, count(*) as n,
       count(latency_seconds) as latency_n,
       sum(latency_seconds) as latency_total,
       sum(latency_seconds * latency_seconds) as latency_squares,
       min("time") as oldest, max("time") as newest
from predictions
group by segment, code
"""

DECISIONS = """
select segment, decision, count(*) as n
from predictions
where code is null and decision is not null
group by segment, decision
"""

LABELLED = """
select segment, count(*) as n
from judged
group by segment
"""

CONFUSION = """
select segment, decision, label, count(*) as n
from judged
where decision is not null
group by segment, decision, label
"""

ERRORS = """
select segment, count(*) as n,
       sum(decision_number - label_number) as error,
       sum(abs(decision_number - label_number)) as absolute,
       sum((decision_number - label_number) * (decision_number - label_number))
           as squared,
       sum(label_number) as label,
       sum(label_number * label_number) as label_squared
from judged
where decision_number is not null and label_number is not null
  and abs(decision_number) < 1e150 and abs(label_number) < 1e150
group by segment
"""


def scores(positive: str) -> str:
    """Rows by label and score, in steps of SCORE_STEP, with the sums of both losses."""
    scale = round(1 / SCORE_STEP)
    p = (
        f"greatest(least(score, {_double(1 - LEAST_PROBABILITY)}), "
        f"{_double(LEAST_PROBABILITY)})"
    )
    return f"""
select segment, positive, cast(floor(score * {scale} + 0.5) as bigint) as bin,
       count(*) as n,
       sum((score - positive) * (score - positive)) as brier,
       sum(case when positive = 1 then -ln({p}) else -ln(1 - {p}) end) as log_loss
from (
    select segment, score,
           case when label = {text(positive)} then 1 else 0 end as positive
    from judged
    where score between 0 and 1
) as judged_scores
group by segment, positive, cast(floor(score * {scale} + 0.5) as bigint)
"""  # noqa: S608, literals are quoted above


def slots(variable: Variable, number: str | None, words: str | None) -> str:
    """Rows of a feature by slot, with the sums of numbers.

    `number` and `words` are the columns that hold it as numbers and as text; at least
    one is given. Slots: null is missing, UNSEEN is a category that the reference does
    not have or a text instead of a number, 0 is below the first edge, 1 to `bins` are
    the bins, `bins` + 1 is above the last edge.
    """
    value, slot = (
        _category_slot(variable, number, words)
        if variable.is_categorical
        else _number_slot(variable, number, words)
    )
    return f"""
select segment, slot, count(*) as n, count(value) as values_n,
       sum(value) as total, sum(value * value) as squares
from (
    select segment, {value} as value, {slot} as slot
    from predictions
    where code is null
) as binned
group by segment, slot
"""  # noqa: S608, names and literals are quoted by their functions


def _number_slot(
    variable: Variable, number: str | None, words: str | None
) -> tuple[str, str]:
    value, strange = name(number) if number else "", ""
    if words:
        parsed = (
            f"case when regexp_replace({name(words)}, {text(NUMBER)}, '') = '' "
            f"then try_cast({name(words)} as double) end"
        )
        strange = f"when {name(words)} is not null and {parsed} is null then {UNSEEN} "
        value = f"coalesce({value}, {parsed})" if value else parsed
    # Without a square there is no sum; NaN exceeds every number in both engines.
    finite = f"case when abs({value}) < 1e150 then {value} end"
    return finite, (
        f"case {strange}when {value} is null or isnan({value}) then null "
        f"else {_bisection(value, variable.edges)} end"
    )


def _bisection(value: str, edges: Sequence[float]) -> str:
    """Return how many edges the value has passed, found by halves.

    Two and a half times faster than to count them one by one, of 21.
    """

    def between(low: int, high: int) -> str:
        if low == high:
            return str(low)
        middle = (low + high) // 2
        is_below = "<=" if middle == len(edges) - 1 else "<"
        return (
            f"case when {value} {is_below} {_double(edges[middle])} "
            f"then {between(low, middle)} else {between(middle + 1, high)} end"
        )

    return between(0, len(edges))


def _category_slot(
    variable: Variable, number: str | None, words: str | None
) -> tuple[str, str]:
    branches = ""
    if words:
        known = _branches(variable.categories, text)
        branches += (
            f"when {name(words)} is not null "
            f"then case {name(words)} {known} else {UNSEEN} end "
        )
    if number:
        column = name(number)
        branches += f"when {column} is null or isnan({column}) then null "
        known = _branches(variable.categories, _number_literal)
        otherwise = f"case {column} {known} else {UNSEEN} end" if known else str(UNSEEN)
        return "cast(null as double)", f"case {branches}else {otherwise} end"
    return "cast(null as double)", f"case {branches}else null end"


def _branches(categories: Sequence[str], literal: Callable[[str], str | None]) -> str:
    shown = [literal(category) for category in categories]
    return " ".join(
        f"when {it} then {position}" for position, it in enumerate(shown, 1) if it
    )


def _number_literal(category: str) -> str | None:
    value = as_number(category)
    return None if value is None else _double(value)


def as_number(category: str) -> float | None:
    """Return the number that stands for a category in a numeric column, or None."""
    truths = {"true": 1.0, "false": 0.0}
    try:
        value = truths[category] if category in truths else float(category)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _double(value: float) -> str:
    """Return the literal of exactly this double.

    Read from text: of a number with a point DuckDB 1.5.6 makes a decimal, and casts a
    tenth of those with 16 or 17 digits to a neighbour of the double
    (findings/duckdb-decimal-literals.sh).
    """
    return f"cast('{value!r}' as double)"


def audited(attributes: Sequence[str], positive: str) -> str:
    """Predictions with their protected attributes and, where known, their label."""
    columns = ", ".join(f"a.{name('a:' + it)}" for it in attributes)
    return f"""
select p.segment,
       case when p.decision = {text(positive)} then 1 else 0 end as selected,
       case when l.label is null then null
            when l.label = {text(positive)} then 1 else 0 end as positive,
       {columns}
from predictions as p
join protected as a on p.id = a.id and p."row" = a."row"
left join labels as l on p.id = l.id and p."row" = l."row"
where p.code is null and p.decision is not null
"""  # noqa: S608, names and literals are quoted above


def groups(attribute: str) -> str:
    """Rows of `audited` by the value of one attribute, decision and label."""
    column = name(f"a:{attribute}")
    return f"""
select segment, {column} as member, selected, positive, count(*) as n
from audited
where {column} is not null
group by segment, {column}, selected, positive
"""  # noqa: S608, the name is quoted above
