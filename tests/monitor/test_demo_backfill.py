"""The backfill of `make demo-drift`, by the monitor's own commands, on every 17th row.

tests/monitor/test_census.py has all rows and the golden figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from sklearn import metrics

from examples.demo_drift import backfill, golden

EVERY = 17
YEAR = 2018


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backfill")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[int, dict[str, Any]]:
    told: list[str] = []
    result = backfill.run(folder, told.append, [YEAR], EVERY)
    assert "entries, intact" in told[-1]
    return result


def test_figures_are_scikit_learns_on_the_same_rows(
    folder: Path, found: dict[int, dict[str, Any]]
) -> None:
    later = backfill.Sources.fetch()
    rows = duckdb.execute(
        "select prediction, predicted_probability, employed "
        "from read_parquet(?) join read_parquet(?) using (id)",
        [str(folder / f"{YEAR}.parquet"), str(later.later_labels)],
    ).fetchnumpy()
    true, decided = rows["employed"], rows["prediction"]
    window = found[YEAR]["windows"][backfill.WINDOW]
    assert window["answered"] == window["labelled"] == len(true)
    assert len(true) == pytest.approx(golden.ROWS[YEAR] / EVERY, abs=3)
    right = {
        "accuracy": metrics.accuracy_score(true, decided),
        "precision": metrics.precision_score(true, decided),
        "recall": metrics.recall_score(true, decided),
        "f1": metrics.f1_score(true, decided),
    }
    for name, value in right.items():
        assert window["metrics"][name]["value"] == pytest.approx(value, abs=1e-9)
    auc = metrics.roc_auc_score(true, rows["predicted_probability"])
    assert window["metrics"]["auc"]["value"] == pytest.approx(auc, abs=1e-5)


def test_labels_come_twice_and_corrected(folder: Path) -> None:
    labels = str(folder / f"{YEAR}-labels.parquet")
    ((rows, ids, values),) = duckdb.execute(
        "select count(*), count(distinct id), count(distinct (id, employed)) "
        "from read_parquet(?)",
        [labels],
    ).fetchall()
    assert rows > ids
    assert values > ids, "some have a wrong one before the right one"


def test_what_differs_from_the_golden_figures_is_reported(
    found: dict[int, dict[str, Any]],
) -> None:
    lines = backfill.lines(found)
    window = found[YEAR]["windows"][backfill.WINDOW]
    accuracy = window["metrics"]["accuracy"]["value"]
    wrong = backfill.wrong(lines)
    assert f"backfill {YEAR}, size: " in wrong[0]
    assert f"golden {golden.ROWS[YEAR]:,} rows" in wrong[0]
    named = {it.name: it for it in lines}
    assert named["accuracy"].golden == "0.8282"
    assert named["accuracy"].found == f"{accuracy:.4f}"
    assert named["concept drift"].is_equal


def test_equal_figures_are_not_told() -> None:
    same = backfill.Line(YEAR, "accuracy", "0.8282", "0.8282")
    other = backfill.Line(YEAR, "recall", "0.8609", "0.8608")
    assert backfill.wrong([same, other]) == [
        "backfill 2018, recall: 0.8609, golden 0.8608"
    ]
