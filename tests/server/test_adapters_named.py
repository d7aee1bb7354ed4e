"""Rows that bear names are taken by name, whatever holds them, or refused."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.server.conftest import COLUMNS, Tiny

if TYPE_CHECKING:
    from model_server.adapters import Predictor

NAMES = [f"f{number}" for number in range(COLUMNS)]
"""The features of the test model, in its order."""
Row = namedtuple("Row", NAMES)  # noqa: PYI024, what itertuples gives


@pytest.fixture(scope="module")
def predictor(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    from model_server.adapters import Predictor

    made = Predictor.from_environment(
        {
            "MODEL_SERVER_MODELS": str(models),
            "MODEL_SERVER_PREDICTION_LOG": "",
            "MODEL_SERVER_THREADS": "1",
        }
    )
    made.start()
    while not made.is_ready:
        assert made.http("GET", "/readyz", {}, bytes)[0] in (200, 503)
    yield made
    made.close()


def columns(rows: Any, names: list[str]) -> dict[str, Any]:
    """The named columns of rows that are in the model's order."""
    return {
        name: rows[:, NAMES.index(name)]
        if name in NAMES
        else np.zeros(len(rows), np.float32)
        for name in names
    }


def structured(found: dict[str, Any]) -> Any:
    rows = np.zeros(
        len(next(iter(found.values()))), [(name, np.float32) for name in found]
    )
    for name, column in found.items():
        rows[name] = column
    return rows


def records(found: dict[str, Any]) -> list[dict[str, float]]:
    return pd.DataFrame(found).to_dict("records")


HOLDERS = {
    "pandas": pd.DataFrame,
    "pandas, other rows' index": lambda found: pd.DataFrame(found).set_index(
        pd.Index(range(7, 7 + len(next(iter(found.values())))))
    ),
    "polars": pl.DataFrame,
    "arrow": lambda found: pl.DataFrame(found).to_arrow(),
    "structured": structured,
    "structured rows": lambda found: list(structured(found)),
    "records": records,
    "series": lambda found: [row for _, row in pd.DataFrame(found).iterrows()],
    "named tuples": lambda found: list(
        pd.DataFrame(found).itertuples(index=False, name="Row")
    ),
    "by the input's name": lambda found: {"X": pd.DataFrame(found)},
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_names_count_and_not_places(
    predictor: Predictor, tiny: Tiny, holder: str
) -> None:
    rows = tiny.rows[:20]
    backwards = HOLDERS[holder](columns(rows, NAMES[::-1]))
    found = predictor.predict(backwards)["probabilities"]
    assert found == pytest.approx(tiny.probabilities()[:20], abs=1e-6)


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["f0", "f1", "f2"], "f3: is missing"),
        ([*NAMES, "foo"], "foo: is not one of the model's features f0, f1, f2, f3"),
        (["foo", "bar", "f2", "f3"], "f0: is missing"),
    ],
    ids=["missing", "unknown", "both"],
)
def test_other_names_are_refused(
    predictor: Predictor, tiny: Tiny, holder: str, names: list[str], said: str
) -> None:
    from model_server.adapters import RequestError

    rows = HOLDERS[holder](columns(tiny.rows[:3], names))
    with pytest.raises(RequestError, match=said) as caught:
        predictor.predict(rows)
    assert caught.value.status == 400


def test_names_that_differ_from_row_to_row_are_refused(predictor: Predictor) -> None:
    from model_server.adapters import RequestError

    whole = dict.fromkeys(NAMES, 1.0)
    short = dict.fromkeys(NAMES[:3], 1.0)
    for rows, said in (
        ([whole, short], r"\[1\].f3: is missing"),
        ([short, whole], r"\[1\].f3: is in no other row"),
        ([whole, [1.0] * 4], r"\[1\]: must be an object"),
    ):
        with pytest.raises(RequestError, match=said):
            predictor.predict(rows)


def test_a_column_that_stands_twice_is_refused(predictor: Predictor) -> None:
    from model_server.adapters import RequestError

    frame = pd.DataFrame(np.zeros((2, 5)), columns=[*NAMES, "f1"])
    with pytest.raises(RequestError, match="f1: is there twice"):
        predictor.predict(frame)


def test_a_wrong_value_is_reported_with_its_column(predictor: Predictor) -> None:
    from model_server.adapters import RequestError

    frame = pd.DataFrame([{**dict.fromkeys(NAMES, 1.0), "f2": "much"}])
    with pytest.raises(RequestError, match=r"X\.f2: "):
        predictor.predict(frame)


@pytest.mark.parametrize("columns_of_frame", [None, list(range(COLUMNS))])
def test_rows_without_names_go_by_place(
    predictor: Predictor, tiny: Tiny, columns_of_frame: list[int] | None
) -> None:
    rows = tiny.rows[:20]
    wanted = pytest.approx(tiny.probabilities()[:20], abs=1e-6)
    for given in (
        rows,
        rows.tolist(),
        pd.DataFrame(rows, columns=columns_of_frame),
        [pd.Series(row) for row in rows],
    ):
        assert predictor.predict(given)["probabilities"] == wanted


def test_names_for_a_model_that_names_no_columns_are_refused(
    models: Path, tmp_path: Path
) -> None:
    import shutil

    import yaml
    from model_server.adapters import Predictor, RequestError

    shutil.copytree(models / "tiny", tmp_path / "tiny")
    file = tmp_path / "tiny" / "model.yaml"
    content = yaml.safe_load(file.read_text())
    del content["features"], content["log"]
    file.write_text(yaml.safe_dump(content))
    made = Predictor.from_environment(
        {"MODEL_SERVER_MODELS": str(tmp_path), "MODEL_SERVER_PREDICTION_LOG": ""}
    )
    made.start()
    try:
        while not made.is_ready:
            assert made.http("GET", "/readyz", {}, bytes)[0] in (200, 503)
        frame = pd.DataFrame(np.zeros((1, COLUMNS)), columns=NAMES)
        with pytest.raises(RequestError, match="names none for it"):
            made.predict(frame)
        assert made.predict(frame.to_numpy())["label"].shape == (1,)
    finally:
        made.close()


def test_features_that_stand_twice_are_no_model(models: Path, tmp_path: Path) -> None:
    import yaml
    from model_server.manifest import ModelError, read_manifest

    content = yaml.safe_load((models / "tiny" / "model.yaml").read_text())
    content["features"] = ["f0", "f1", "f1", "f3"]
    file = tmp_path / "model.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match="features: f1 twice"):
        read_manifest(file)
