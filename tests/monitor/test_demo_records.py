"""Records of `make demo-drift` are those that the model server writes, but for time."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.demo_drift import census, records
from examples.demo_drift.census import Card, Rows
from examples.demo_drift.served import ServedModel
from examples.demo_drift.timeline import Batch, Label
from slipway import images
from tests.support.model_server import ModelServer
from toolchain.errors import OperatorError

MOMENT = dt.datetime(2019, 1, 2, 9, 12, tzinfo=dt.UTC)
SIMULATED = ("time", "latency_seconds")


def test_what_the_server_logs_and_what_the_demo_ships_are_the_same(
    tmp_path: Path,
) -> None:
    folder = images.model_folder(census.MODEL)
    models, log = tmp_path / "models", tmp_path / "log"
    models.mkdir()
    log.mkdir()
    (models / census.MODEL).symlink_to(folder)
    card = Card.read(folder)
    features, probabilities = images.real_rows(census.MODEL, 40)
    rows = Rows(features, np.zeros(40, np.int64))
    batches = [
        Batch("first", MOMENT, rows.take(np.arange(30))),
        Batch("second", MOMENT + dt.timedelta(hours=1), rows.take(np.arange(30, 40))),
    ]
    with ModelServer(models, log) as server, ServedModel(server.url) as model:
        answers = model.ask(batches)
        assert server.stop() == 0
    assert np.concatenate([it.scores for it in answers]) == pytest.approx(
        probabilities[:, 1], abs=1e-6
    )
    for kind, lines in (
        ("predictions", records.predictions(answers, card)),
        ("protected", records.protected(answers, card)),
    ):
        served = _logged(log, kind)
        shipped = {
            (it["id"], it["row"]): it for it in map(json.loads, lines.split(b"\n")[:-1])
        }
        assert len(served) == 40
        assert shipped.keys() == served.keys()
        for key, record in shipped.items():
            assert list(record) == list(served[key])
            assert _real(record) == _real(served[key])
    assert {it["time"] for it in map(json.loads, lines.splitlines())} == {
        "2019-01-02T09:12:00.000000Z",
        "2019-01-02T10:12:00.000000Z",
    }


def _logged(log: Path, kind: str) -> dict[tuple[str, int], dict[str, Any]]:
    found = [
        json.loads(line)
        for path in sorted(log.glob(f"{kind}-*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return {(it["id"], it["row"]): it for it in found}


def _real(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in SIMULATED}


def test_a_label_is_what_the_contract_says() -> None:
    known = MOMENT + dt.timedelta(days=30)
    one = Label("first", 3, 1, known, MOMENT, known.date())
    assert json.loads(records.labels([one])) == {
        "id": "first",
        "row": 3,
        "label": "1",
        "label_time": "2019-02-01T09:12:00.000000Z",
        "source": "census",
        "prediction_time": "2019-01-02T09:12:00.000000Z",
    }


def test_a_server_that_is_not_there_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("examples.demo_drift.served.ATTEMPTS", 2)
    rows = Rows(np.zeros((1, 16), np.float32), np.zeros(1, np.int64))
    # Port 9 of loopback: nothing listens there.
    with (
        ServedModel("http://127.0.0.1:9/employment/v1/") as model,
        pytest.raises(OperatorError, match="--url") as raised,
    ):
        model.ask([Batch("only", MOMENT, rows)])
    assert "http://127.0.0.1:9/employment/v1/infer" in str(raised.value)
