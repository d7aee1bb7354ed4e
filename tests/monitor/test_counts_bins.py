"""Columns counted in one pass are counted as by the text that every engine runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.counts import column_bins, queries
from model_monitor.counts.counts import Binned
from model_monitor.counts.reference import Variable
from model_monitor.store.database import name

EDGES = (-1.5, -0.0, 0.1, 1.0, 2.0)
NUMBER = Variable("n", edges=EDGES, counts=(1,) * 4)
ONE_BIN = Variable("n", edges=(0.0, 1.0), counts=(1,))
HUGE = Variable("n", edges=(-1.7976931348623157e308, 0.0, 1.7976931348623157e308))
CODES = Variable("n", categories=("1", "true", "0", "-0.5", "word", "nan", "false"))
WORDS = Variable("n", categories=("a", "it's", "1", "é"))
usual = st.sampled_from([None, *EDGES, 0.0, -2.0, 0.5, 3.0, -0.5, 1e151, -1e152])
numbers = st.none() | st.floats(width=64) | usual
words = st.none() | st.text(max_size=2) | st.sampled_from(WORDS.categories)
few = settings(max_examples=60, deadline=None)
Rows = Sequence[tuple[int, str | None, Any]]


def rows(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    codes = st.sampled_from([None, None, "full"])
    return st.lists(st.tuples(st.integers(0, 2), codes, values), max_size=40)


def both(
    variable: Variable, column: str, found: Rows
) -> tuple[dict[int, Binned | None], dict[int, Binned]]:
    """Counts by segment in one pass, and by `slots`."""
    kind = "double" if column.startswith("x:") else "varchar"
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            "create table predictions "
            f"(segment integer, code varchar, {name(column)} {kind})"
        )
        if found:
            connection.executemany("insert into predictions values (?, ?, ?)", found)
        columns = {column: variable}
        sql = column_bins.query(columns, "select * from predictions")
        ours = {
            segment: column_bins.counted(columns, row)[column]
            for segment, *row in connection.execute(sql).fetchall()
        }
        of_number = (column, None) if column.startswith("x:") else (None, column)
        slots: dict[int, list[Any]] = {}
        sql = queries.slots(variable, *of_number)
        for segment, *row in connection.execute(sql).fetchall():
            slots.setdefault(segment, []).append(row)
        return ours, {
            segment: Binned.of(variable.bins, row) for segment, row in slots.items()
        }


@pytest.mark.parametrize("variable", [NUMBER, ONE_BIN, HUGE])
@few
@given(rows(numbers))
def test_of_numbers(variable: Variable, found: Rows) -> None:
    ours, expected = both(variable, "x:n", found)
    assert ours.keys() == expected.keys()
    for segment, binned in ours.items():
        values = [
            it
            for at, code, it in found
            if at == segment and code is None and it is not None
        ]
        if binned is None:
            assert any(not abs(it) < 1e148 for it in values)
            continue
        assert all(abs(it) < 1e150 for it in values)
        sums, theirs = binned.sums, expected[segment].sums
        assert sums.n == theirs.n
        # The same but for the order in which they were added up.
        size = sum(map(abs, values))
        assert sums.total == pytest.approx(theirs.total, rel=0, abs=1e-12 * size)
        assert sums.squares == pytest.approx(theirs.squares, rel=1e-12)
        assert replace(binned, sums=theirs) == expected[segment]


@few
@given(rows(numbers | st.sampled_from([1.0, 0.0, -0.0, -0.5])))
def test_of_categories_that_are_numbers(found: Rows) -> None:
    ours, expected = both(CODES, "x:n", found)
    for segment, binned in ours.items():
        values = [it for at, code, it in found if at == segment and code is None]
        has_nan = any(it is not None and math.isnan(it) for it in values)
        assert (binned is None) == has_nan
        assert binned in (None, expected[segment])
    assert ours.keys() == expected.keys()


@few
@given(rows(words))
def test_of_categories_that_are_texts(found: Rows) -> None:
    ours, expected = both(WORDS, "t:n", found)
    assert ours == expected


def test_what_it_leaves_to_the_other_text() -> None:
    assert column_bins.can_count(NUMBER, "x:n")
    assert column_bins.can_count(NUMBER, "score")
    assert column_bins.can_count(CODES, "x:n")
    assert column_bins.can_count(WORDS, "t:n")
    # A number that is written as text is to be read first.
    assert not column_bins.can_count(NUMBER, "t:n")
    # All others are counted as the empty text.
    assert not column_bins.can_count(Variable("n", categories=("a", "")), "t:n")
    # No category is a number, so there is no list of them.
    assert not column_bins.can_count(Variable("n", categories=("a",)), "x:n")
