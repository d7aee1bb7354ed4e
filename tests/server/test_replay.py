"""A log of one model server is asked again of another one, of a new revision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from sklearn.ensemble import GradientBoostingClassifier

from benchmarks.model_folder import made_up_rows, write_model_folder
from slipway.cli import cli
from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_prediction_log import records
from tests.support.model_server import ModelServer, request

ROWS = 40


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tiny]:
    """The same model, trained with fewer trees."""
    rows, labels = made_up_rows(900, COLUMNS)
    classifier = GradientBoostingClassifier(n_estimators=3, random_state=0)
    classifier.fit(rows[:500], labels[:500])
    folder = tmp_path_factory.mktemp("other")
    write_model_folder(folder, classifier, COLUMNS)
    return folder, Tiny(classifier, rows[500:])


@pytest.fixture
def log(models: Path, tiny: Tiny, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "log"
    folder.mkdir()
    with ModelServer(models, folder, REVISION="old") as server:
        for start in range(0, ROWS, 2):
            rows = tiny.rows[start : start + 2]
            body = request(rows.ravel().tolist(), COLUMNS)
            assert server.client.post("/infer", json=body).status_code == 200
        assert server.stop() == 0
    return folder


def test_the_new_revision_answers_the_logs_requests(
    log: Path, other: tuple[Path, Tiny], tiny: Tiny, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    folder, new = other
    with ModelServer(folder, own, REVISION="new", ARM="canary") as server:
        outputs = yaml.safe_load((folder / "tiny" / "model.yaml").read_text())
        named = outputs["prediction"]
        chosen = ["--decision", named["decision"], "--score", named["score"]]
        url = f"http://127.0.0.1:{server.port}"
        arguments = ["replay", str(log), "tiny", "--url", url, "--json", *chosen]
        arguments.append("--revision")
        done = CliRunner().invoke(cli, [*arguments, "new"])
        wrong = CliRunner().invoke(cli, [*arguments, "old"])
        assert server.stop() == 0
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    before = tiny.classifier.predict(tiny.rows[:ROWS])
    after = new.classifier.predict(tiny.rows[:ROWS])
    comparison = found["comparison"]
    assert comparison["pairs"] == ROWS
    assert comparison["changed"]["some"] == int((before != after).sum()) > 0
    moved = new.classifier.predict_proba(tiny.rows[:ROWS])[:, 1]
    moved = moved - tiny.classifier.predict_proba(tiny.rows[:ROWS])[:, 1]
    assert comparison["scores"]["mean"] == pytest.approx(moved.mean(), abs=1e-6)
    assert found["requests"] == ROWS / 2
    assert wrong.exit_code == 1
    assert "unknown_revision" in wrong.output
    # What was asked again is not traffic of the new revision.
    copies = records(own)
    assert len(copies) == ROWS
    assert {it["arm"] for it in copies} == {"shadow"}
    assert {it["id"] for it in copies} == {it["id"] for it in records(log)}
