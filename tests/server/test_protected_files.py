"""The files of protected attributes: their rotation and bounds, and what is lost."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from model_server.log_files import PREDICTIONS, PROTECTED, FileKind, LogFiles
from model_server.manifest import read_manifest
from model_server.outputs import Outputs, Results
from model_server.prediction_log import PredictionLog
from model_server.records import Record, RecordForm

from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_prediction_log import finished, records, wait_for_records
from tests.support.model_server import ModelServer, request

LOG = {"keep": ["f0", "f1"], "protected": ["f2", "f3"]}
ROW = [1.0, 2.0, 3.0, 4.0]


@pytest.fixture(scope="module")
def guarded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `tiny`, two of whose features are protected."""
    import shutil

    folder = tmp_path_factory.mktemp("guarded")
    shutil.copytree(models / "tiny", folder / "tiny")
    file = folder / "tiny" / "model.yaml"
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "log": LOG}))
    return folder


def kinds(folder: Path) -> dict[str, list[Path]]:
    """The finished files by the start of their names."""
    found: dict[str, list[Path]] = {}
    for file in finished(folder):
        found.setdefault(file.name.partition("-")[0], []).append(file)
    return found


def rows(files: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(it) for file in files for it in file.read_text().splitlines()]


def test_both_kinds_have_the_same_rows(
    guarded: Path, log_folder: Path, tiny: Tiny
) -> None:
    """In files that are finished together, by size and by age."""
    with ModelServer(guarded, log_folder, PREDICTION_LOG_FILE_BYTES=20_000) as server:
        for number in range(40):
            part = tiny.rows[number * 10 : (number + 1) * 10]
            server.client.post("/infer", json=request(part.ravel().tolist(), COLUMNS))
            server.client.post("/infer", content=b"{")
        assert server.stop() == 0
    found = kinds(log_folder)
    assert set(found) == {"predictions", "protected"}
    assert len(found["predictions"]) == len(found["protected"]) > 3
    for kept, apart in zip(found["predictions"], found["protected"], strict=True):
        good = [it for it in rows([kept]) if it["status"] == 200]
        assert [(it["id"], it["row"]) for it in good] == [
            (it["id"], it["row"]) for it in rows([apart])
        ]
        assert all(list(it["features"]) == ["f0", "f1"] for it in good)
    attributes = [list(it["attributes"].values()) for it in rows(found["protected"])]
    assert np.array(attributes, np.float32).tolist() == tiny.rows[:400, 2:].tolist()


def test_a_model_without_any_has_no_such_files(models: Path, log_folder: Path) -> None:
    with ModelServer(models, log_folder) as server:
        server.client.post("/infer", json=request(ROW, COLUMNS)).raise_for_status()
        assert server.stop() == 0
    assert set(kinds(log_folder)) == {"predictions"}


def test_the_bound_holds_for_all_files_together(
    guarded: Path, log_folder: Path
) -> None:
    with ModelServer(
        guarded,
        log_folder,
        PREDICTION_LOG_FILE_BYTES=10_000,
        PREDICTION_LOG_TOTAL_BYTES=50_000,
    ) as server:
        for number in range(300):
            server.client.post(
                "/infer",
                json=request(ROW * 10, COLUMNS),
                headers={"x-request-id": f"n-{number}"},
            )
        wait_for_records(server, 3000)
        assert server.stop() == 0
        files = [file for found in kinds(log_folder).values() for file in found]
        assert sum(file.stat().st_size for file in files) <= 50_000
    for found in kinds(log_folder).values():
        assert rows(found)[-1]["id"] == "n-299"


def test_a_kill_leaves_both_to_the_next_start(guarded: Path, log_folder: Path) -> None:
    with ModelServer(guarded, log_folder) as server:
        server.client.post("/infer", json=request(ROW * 3, COLUMNS))
        wait_for_records(server, 3)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    for part in log_folder.glob("*.part"):
        with part.open("a") as torn:
            torn.write('{"id":"torn')
    with ModelServer(guarded, log_folder):
        assert not list(log_folder.glob("*.part"))
    assert {kind: len(rows(found)) for kind, found in kinds(log_folder).items()} == {
        "predictions": 3,
        "protected": 3,
    }


class _Files(LogFiles):
    """Files whose writes fail, or wait, as long as the test has it."""

    def __init__(self, folder: Path, kind: FileKind) -> None:
        self.fails = False
        self.goes_on = threading.Event()
        self.goes_on.set()
        super().__init__(
            folder, "h", kind, file_bytes=10**6, file_seconds=60, total_bytes=10**7
        )

    def write(self, text: bytes) -> None:
        self.goes_on.wait(10)
        if self.fails:
            raise OSError(28, "No space left on device")
        super().write(text)


def record(form: RecordForm, name: str, count: int) -> Record:
    run = Results([np.zeros(count, np.int64), np.full((count, 2), 0.5, np.float32)])
    buffers = (np.array([ROW] * count, "<f4").tobytes(),)
    return Record(form, name, 1.0, 0.5, 200, "", count, buffers, Outputs(run, 0, count))


def error(form: RecordForm) -> Record:
    return Record(form, "wrong", 1.0, 0.5, 400, "invalid_request", 1, (), None)


def wait_until_written(log: PredictionLog) -> None:
    end = time.monotonic() + 10
    while log.waiting_rows:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_row_whose_attributes_are_lost_counts_as_dropped(
    guarded: Path, models: Path, log_folder: Path
) -> None:
    """Once: what was written and what was dropped add up to all rows."""
    forms = [
        RecordForm(read_manifest(folder / "tiny" / "model.yaml"), "r", "stable")
        for folder in (guarded, models)
    ]
    files, protected = (_Files(log_folder, it) for it in (PREDICTIONS, PROTECTED))
    log = PredictionLog(files, protected, 1000)
    protected.fails = True
    log.append(record(forms[0], "lost", 3))
    log.append(record(forms[1], "has-none", 2))
    log.append(error(forms[0]))
    wait_until_written(log)
    assert (log.written_rows, log.dropped_rows, log.write_errors) == (3, 3, 1)
    protected.fails, files.fails = False, True
    log.append(record(forms[0], "both-lost", 5))
    wait_until_written(log)
    assert (log.written_rows, log.dropped_rows, log.write_errors) == (3, 8, 2)
    files.fails = False
    log.append(record(forms[0], "whole", 7))
    log.stop(10)
    assert (log.written_rows, log.dropped_rows, log.write_errors) == (10, 8, 2)
    # Attributes without their prediction are of no use, so they are not written.
    found = kinds(log_folder)
    assert {it["id"] for it in rows(found["protected"])} == {"whole"}
    ids = [it["id"] for it in records(log_folder)]
    assert sorted(set(ids)) == ["has-none", "lost", "whole", "wrong"]


def test_a_slow_disk_holds_no_request_up(guarded: Path, log_folder: Path) -> None:
    form = RecordForm(read_manifest(guarded / "tiny" / "model.yaml"), "r", "stable")
    files, protected = (_Files(log_folder, it) for it in (PREDICTIONS, PROTECTED))
    log = PredictionLog(files, protected, 100)
    protected.goes_on.clear()
    started = time.monotonic()
    for number in range(50):
        log.append(record(form, f"n-{number}", 10))
    assert time.monotonic() - started < 1
    assert 0 < log.waiting_rows <= 100
    assert log.dropped_rows >= 350
    protected.goes_on.set()
    log.stop(10)
    assert log.written_rows + log.dropped_rows == 500
    found = kinds(log_folder)
    assert len(rows(found["protected"])) == len(rows(found["predictions"]))
    assert len(rows(found["protected"])) == log.written_rows
