"""Every count query is one that Spark understands, too."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
import sqlglot
from model_monitor.counts import queries
from model_monitor.counts.reference import Variable
from sqlglot import exp

NUMBER = Variable('it\'s "a" name', edges=(-1.5, 0.0, 2.0), counts=(1, 1))
KIND = Variable("kind", categories=("1", "it's", "true", "nan"), counts=(1,) * 4)
TEXTS = {
    "judged": queries.JUDGED,
    "traffic": queries.TRAFFIC,
    "decisions": queries.DECISIONS,
    "labelled": queries.LABELLED,
    "confusion": queries.CONFUSION,
    "errors": queries.ERRORS,
    "scores": queries.scores("it's"),
    "number": queries.slots(NUMBER, f"x:{NUMBER.name}", None),
    "number or text": queries.slots(NUMBER, f"x:{NUMBER.name}", "t:a"),
    "text of a number": queries.slots(NUMBER, None, "t:a"),
    "category": queries.slots(KIND, "x:kind", None),
    "category or text": queries.slots(KIND, "x:kind", "t:kind"),
    "text of a category": queries.slots(KIND, None, "t:kind"),
    "audited": queries.audited(["SEX", "it's"], "1"),
    "groups": queries.groups("it's"),
}
PORTABLE = {
    *("ABS", "CAST", "COALESCE", "COUNT", "FLOOR", "GREATEST", "IS_NAN", "LEAST"),
    *("LN", "MAX", "MIN", "REGEXP_REPLACE", "SUM", "TRY_CAST", "CASE", "IF", "AND"),
    "OR",
}
"""Functions, by SQLGlot's names, of the same meaning in both engines.

CAST is of truth values to integers and of whole doubles to BIGINT; LN and FLOOR are of
doubles in [0, 1]."""


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_translated_for_spark_and_parsed(name: str) -> None:
    (translated,) = sqlglot.transpile(
        TEXTS[name],
        read="duckdb",
        write="spark",
        error_level=sqlglot.ErrorLevel.RAISE,
        unsupported_level=sqlglot.ErrorLevel.RAISE,
    )
    tree = sqlglot.parse_one(translated, read="spark")
    assert not list(tree.find_all(exp.Anonymous, exp.Command))
    functions = {it.sql_name() for it in tree.find_all(exp.Func)}
    assert functions <= PORTABLE
    relations = {it.name for it in tree.find_all(exp.Table)}
    assert relations <= {"predictions", "labels", "protected", "judged", "audited"}


def test_the_check_notices_what_duckdb_alone_has() -> None:
    (translated,) = sqlglot.transpile(
        "select hash(id) from predictions", read="duckdb", write="spark"
    )
    tree = sqlglot.parse_one(translated, read="spark")
    functions = {it.sql_name() for it in tree.find_all(exp.Func)}
    assert not functions <= PORTABLE


def test_names_and_texts_come_through_quoted() -> None:
    tree = sqlglot.parse_one(TEXTS["number"], read="duckdb")
    assert {it.name for it in tree.find_all(exp.Column)} >= {f"x:{NUMBER.name}"}
    tree = sqlglot.parse_one(TEXTS["scores"], read="duckdb")
    literals = {it.this for it in tree.find_all(exp.Literal) if it.is_string}
    assert "it's" in literals


def by_slot(
    variable: Variable, column: str, values: list[Any]
) -> dict[int | None, int]:
    """Rows by slot, as DuckDB counts them; `column` is "x" or "t"."""
    kind = "double" if column == "x" else "varchar"
    names = ("x:it", None) if column == "x" else (None, "t:it")
    with duckdb.connect() as connection:
        connection.execute(
            "create table predictions "
            f'(segment integer, code varchar, "{column}:it" {kind})'
        )
        connection.executemany(
            "insert into predictions values (0, null, ?)", [[it] for it in values]
        )
        rows = connection.execute(queries.slots(variable, *names)).fetchall()
    return {slot: n for _, slot, n, *_ in rows}


def test_a_value_at_an_edge_lies_in_the_bin_that_numpy_says() -> None:
    """Of numbers with 17 digits, DuckDB's decimals are not always the same double."""
    edges = np.sort(np.random.default_rng(3).random(200))
    values = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 1)])
    variable = Variable("it", edges=tuple(edges.tolist()), counts=(1,) * 199)
    found = by_slot(variable, "x", values.tolist())
    assert found == {0: 1, 200: 1} | dict(
        enumerate(np.histogram(values, edges)[0].tolist(), 1)
    )


def test_a_category_of_many_digits_is_found() -> None:
    values = np.random.default_rng(4).random(200).tolist()
    names = tuple(map(repr, values))
    found = by_slot(Variable("it", categories=names, counts=(1,) * 200), "x", values)
    assert found == dict.fromkeys(range(1, 201), 1)


@pytest.mark.parametrize("word", ["5", " 5 ", "+5", "5.", ".5e1", "0.5E+1", "0005"])
def test_a_text_that_is_a_number_counts_as_one(word: str) -> None:
    variable = Variable("it", edges=(4.5, 5.5), counts=(1,))
    assert by_slot(variable, "t", [word]) == {1: 1}


@pytest.mark.parametrize(
    "word", ["", "five", "1_000", "5d", "5f", "0x1p3", "5\n", "+nan", "--5", "5 5", "."]
)
def test_a_text_that_only_one_engine_would_read_counts_as_a_word(word: str) -> None:
    variable = Variable("it", edges=(4.5, 5.5), counts=(1,))
    assert by_slot(variable, "t", [word]) == {queries.UNSEEN: 1}


def test_texts_of_what_is_no_finite_number() -> None:
    variable = Variable("it", edges=(4.5, 5.5), counts=(1,))
    words = ["inf", "Infinity", "-INF", "NaN", "1e400"]
    assert by_slot(variable, "t", words) == {0: 1, 2: 3, None: 1}
