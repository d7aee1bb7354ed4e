"""The prediction log: what a record holds, files, drops, what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest
import yaml
from model_server.manifest import read_manifest
from model_server.outputs import Outputs, Results
from model_server.records import Record, RecordForm, lines
from model_server.tensor import Tensor

from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_models import write_identity
from tests.support.model_server import ModelServer, request


def records(folder: Path, kind: str = "predictions") -> list[dict[str, Any]]:
    """Every record of a kind in the folder, in order of writing."""
    return [
        json.loads(line)
        for file in sorted(folder.glob(f"{kind}-*"))
        for line in file.read_text().splitlines()
    ]


def finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def test_one_record_for_each_row(models: Path, log_folder: Path, tiny: Tiny) -> None:
    rows = tiny.rows[:5]
    before = time.time()
    with ModelServer(models, log_folder, ARM="canary") as server:
        answer = server.client.post(
            "/infer",
            json=request(rows.ravel().tolist(), COLUMNS),
            headers={"x-request-id": "five-rows"},
        )
        server.client.post("/infer", content=b"{}", headers={"x-request-id": "wrong"})
        assert server.stop() == 0
    *good, bad = records(log_folder)
    probabilities = np.array(answer.json()["outputs"][1]["data"]).reshape(-1, 2)
    assert len(good) == 5
    for number, record in enumerate(good):
        assert list(record) == [
            *("id", "row", "time", "model", "version", "revision", "arm"),
            *("status", "latency_seconds", "features", "decision", "score"),
        ]
        assert record["id"] == "five-rows"
        assert record["row"] == number
        assert record["model"] == "tiny"
        assert record["arm"] == "canary"
        assert record["revision"] == answer.headers["x-model-revision"]
        assert record["status"] == 200
        assert 0 < record["latency_seconds"] < 5
        assert list(record["features"]) == ["f0", "f1", "f2", "f3"]
        logged = np.array(list(record["features"].values()), np.float32)
        assert logged.tolist() == rows[number].tolist()
        assert record["decision"] == answer.json()["outputs"][0]["data"][number]
        assert record["score"] == probabilities[number, 1]
        moment = time.strptime(record["time"][:19], "%Y-%m-%dT%H:%M:%S")
        assert record["time"].endswith("Z")
        import calendar

        assert before - 2 < calendar.timegm(moment) < time.time() + 1
    assert bad["id"] == "wrong"
    assert (bad["status"], bad["code"]) == (400, "invalid_request")
    assert "features" not in bad


def test_the_time_is_that_of_the_arrival(models: Path) -> None:
    """And not that of the answer, 100 s later; of an error too."""
    from model_server.batching import Job
    from model_server.config import read
    from model_server.errors import internal
    from model_server.metrics import ModelMetrics
    from model_server.protocol import Inference
    from model_server.service import Service

    made: list[Record] = []
    log: Any = SimpleNamespace(append=made.append)
    manifest = read_manifest(models / "tiny" / "model.yaml")
    endpoint = SimpleNamespace(
        manifest=manifest,
        revision="r",
        form=RecordForm(manifest, "r", "stable"),
        metrics=ModelMetrics({}, "1"),
    )
    service = Service(read({}), log)
    inference = Inference(None, 1, (bytes(16),), None)
    started = time.monotonic() - 100
    for result in (Outputs(Results([]), 0, 1), internal()):
        service._done(
            Job(
                endpoint,
                inference,
                "id",
                None,
                lambda *_: None,
                lambda *_: None,
                started,
                None,
                as_text=False,
            ),
            result,
        )
    assert [record.status for record in made] == [200, 500]
    for record in made:
        assert record.latency == pytest.approx(100, abs=10)
        assert time.time() - record.time == pytest.approx(100, abs=10)


def test_requests_of_one_run_get_their_own_rows(models: Path) -> None:
    form = RecordForm(read_manifest(models / "tiny" / "model.yaml"), "r", "stable")
    scores = np.array([0.125, 0.25, 0.5, 0.75], np.float32)
    run = Results([np.array([0, 0, 1, 1]), np.stack([1 - scores, scores], axis=1)])
    made = [
        Record(
            form=form,
            request_id=f"from-{start}",
            time=0.0,
            latency=0.0,
            status=200,
            code="",
            rows=stop - start,
            buffers=(bytes(4 * COLUMNS * (stop - start)),),
            outputs=Outputs(run, start, stop),
        )
        for start, stop in ((0, 1), (1, 3), (3, 4))
    ]
    # In two turns, as the log's thread takes them.
    text = lines(made[:2]) + lines(made[2:])
    found = [json.loads(line) for line in text.splitlines()]
    assert [(it["id"], it["row"], it["decision"], it["score"]) for it in found] == [
        ("from-0", 0, 0, 0.125),
        ("from-1", 0, 0, 0.25),
        ("from-1", 1, 1, 0.5),
        ("from-3", 0, 1, 0.75),
    ]


def test_outputs_cannot_overwrite_the_logs_own_fields(
    tmp_path: Path, log_folder: Path
) -> None:
    names = ["id", "time", "model", "version", "status", "features", "outputs"]
    write_identity(tmp_path / "models" / "m", dict.fromkeys(names, "INT32"))
    folder = tmp_path / "models" / "m"
    graph = onnx.load(folder / "model.onnx")
    for tensor in [*graph.graph.input, *graph.graph.output]:
        tensor.name = _swapped(tensor.name)
    for node in graph.graph.node:
        node.input[0], node.output[0] = f"{node.input[0]}_in", node.input[0]
    onnx.save(graph, folder / "model.onnx")
    content = yaml.safe_load((folder / "model.yaml").read_text())
    for tensor in [*content["inputs"], *content["outputs"]]:
        tensor["name"] = _swapped(tensor["name"])
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    with ModelServer(tmp_path / "models", log_folder) as server:
        inputs = [
            {"name": f"{n}_in", "datatype": "INT32", "shape": [1, 3], "data": [7, 8, 9]}
            for n in names
        ]
        server.client.post(
            "/infer", json={"inputs": inputs}, headers={"x-request-id": "mine"}
        ).raise_for_status()
        assert server.stop() == 0
    (line,) = [f.read_text() for f in finished(log_folder)]
    found = json.loads(line, object_pairs_hook=_once)
    assert (found["id"], found["model"], found["status"]) == ("mine", "m", 200)
    assert found["outputs"] == {name: [7, 8, 9] for name in names}


def _swapped(name: str) -> str:
    """`id` of an input becomes `id_in`, `id_out` of its output `id`."""
    return name.removesuffix("_out") if name.endswith("_out") else f"{name}_in"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def test_every_prediction_is_logged_once(models: Path, log_folder: Path) -> None:
    with ModelServer(models, log_folder) as server:
        for number in range(300):
            server.client.post(
                "/infer",
                json=request([number, 0, 0, 0] * (1 + number % 3), COLUMNS),
                headers={"x-request-id": f"n-{number}"},
            )
        assert server.stop() == 0
    found = [(record["id"], record["row"]) for record in records(log_folder)]
    assert found == [
        (f"n-{number}", row) for number in range(300) for row in range(1 + number % 3)
    ]
    assert [file.suffix for file in log_folder.iterdir()] == [".jsonl"]


def test_files_are_finished_by_size(models: Path, log_folder: Path) -> None:
    with ModelServer(models, log_folder, PREDICTION_LOG_FILE_BYTES=20_000) as server:
        for _ in range(40):
            server.client.post("/infer", json=request([1, 2, 3, 4] * 10, COLUMNS))
        server.stop()
    files = finished(log_folder)
    assert len(files) > 3
    assert all(20_000 <= file.stat().st_size < 50_000 for file in files[:-1])
    assert len(records(log_folder)) == 400


def test_files_are_finished_by_age(models: Path, log_folder: Path) -> None:
    with ModelServer(models, log_folder, PREDICTION_LOG_FILE_SECONDS=0.3) as server:
        for number in range(2):
            server.client.post("/infer", json=request([1, 2, 3, 4], COLUMNS))
            end = time.monotonic() + 10
            while len(finished(log_folder)) <= number:
                assert time.monotonic() < end
                time.sleep(0.05)
        assert not list(log_folder.glob("*.part"))


def test_the_oldest_files_go_when_space_is_used_up(
    models: Path, log_folder: Path
) -> None:
    foreign = log_folder / "predictions-another-host-1.jsonl"
    foreign.write_text("{}\n" * 10_000)
    with ModelServer(
        models,
        log_folder,
        PREDICTION_LOG_FILE_BYTES=10_000,
        PREDICTION_LOG_TOTAL_BYTES=50_000,
    ) as server:
        for number in range(300):
            server.client.post(
                "/infer",
                json=request([1, 2, 3, 4] * 10, COLUMNS),
                headers={"x-request-id": f"n-{number}"},
            )
        end = time.monotonic() + 10
        while server.metrics()["prediction_log_queue_rows"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        deleted = server.metrics()["prediction_log_deleted_files_total"]
        server.stop()
    own = [file for file in finished(log_folder) if file != foreign]
    assert deleted > 3
    assert sum(file.stat().st_size for file in own) <= 50_000
    assert foreign.exists()
    assert json.loads(own[-1].read_text().splitlines()[-1])["id"] == "n-299"


def test_a_full_queue_drops_and_counts(models: Path, log_folder: Path) -> None:
    """The writer is held up by a pipe that nobody reads."""
    with ModelServer(models, log_folder, PREDICTION_LOG_QUEUE_ROWS=50) as server:
        # 1,000 rows a request can never fit in the queue of 50: all are dropped.
        for _ in range(3):
            answer = server.client.post(
                "/infer", json=request([1, 2, 3, 4] * 1000, COLUMNS)
            )
            assert answer.is_success
        answer = server.client.post("/infer", json=request([1, 2, 3, 4], COLUMNS))
        assert answer.is_success
        assert server.metrics()["prediction_log_dropped_total"] == 3000
        server.stop()
    assert len(records(log_folder)) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a small file system: needs root")
def test_a_full_disk_costs_records_not_requests(models: Path, tmp_path: Path) -> None:
    import subprocess

    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True
    )
    try:
        with ModelServer(models, folder) as server:
            for _ in range(50):
                answer = server.client.post(
                    "/infer", json=request([1, 2, 3, 4] * 50, COLUMNS)
                )
                assert answer.is_success
            end = time.monotonic() + 10
            while server.metrics()["prediction_log_queue_rows"]:
                assert time.monotonic() < end
                time.sleep(0.05)
            counts = server.metrics()
            assert counts["prediction_log_dropped_total"] > 0
            assert counts["prediction_log_write_errors_total"] > 0
            total = (
                counts["prediction_log_dropped_total"]
                + counts["prediction_log_records_total"]
            )
            assert total == 2500
            assert server.stop() == 0
        # Whatever was written is whole lines.
        assert len(records(folder)) == counts["prediction_log_records_total"]
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_kill_leaves_files_that_the_next_start_finishes(
    models: Path, log_folder: Path
) -> None:
    with ModelServer(models, log_folder) as server:
        server.client.post("/infer", json=request([1, 2, 3, 4] * 3, COLUMNS))
        end = time.monotonic() + 10
        while not server.metrics()["prediction_log_records_total"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    (part,) = log_folder.glob("*.part")
    with part.open("a") as torn:
        torn.write('{"id":"torn')
    with ModelServer(models, log_folder) as server:
        assert not list(log_folder.glob("*.part"))
        assert len(records(log_folder)) == 3


def test_no_log_when_it_is_set_empty(models: Path, log_folder: Path) -> None:
    with ModelServer(models, log_folder, PREDICTION_LOG="") as server:
        assert server.client.post(
            "/infer", json=request([1, 2, 3, 4], COLUMNS)
        ).is_success
        assert "prediction_log_records_total" not in server.metrics()
        assert server.stop() == 0
    assert not list(log_folder.iterdir())


def test_errors_alone_are_logged(models: Path, log_folder: Path) -> None:
    """A write of errors only has no features to format; the writer lives on."""
    with ModelServer(models, log_folder) as server:
        for _ in range(3):
            server.client.post("/infer", content=b"{")
        wait_for_records(server, 3)
        server.client.post("/infer", json=request([1, 2, 3, 4], COLUMNS))
        wait_for_records(server, 4)
        server.stop()
    assert [record["status"] for record in records(log_folder)] == [400] * 3 + [200]


def wait_for_records(server: ModelServer, count: int) -> None:
    end = time.monotonic() + 10
    while server.metrics()["prediction_log_records_total"] < count:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_record_in_parts_makes_the_same_lines(models: Path, tiny: Tiny) -> None:
    """Lines of 65,536 rows at once would take many times their request's body."""
    form = RecordForm(read_manifest(models / "tiny" / "model.yaml"), "r", "stable")
    rows = tiny.rows[:7].astype(np.float32)
    run = Results([np.arange(9), np.linspace(0, 1, 18).reshape(9, 2)])
    record = Record(
        form, "id", 1.0, 0.5, 200, "", 7, (rows.tobytes(),), Outputs(run, 2, 9)
    )
    parts = list(record.parts(3))
    assert [part.rows for part in parts] == [3, 3, 1]
    assert b"".join(lines([part]) for part in parts) == lines([record])
    assert list(record.parts(7)) == [record]


def test_wide_rows_count_by_their_bytes(tmp_path: Path) -> None:
    manifest = SimpleNamespace(
        **dict.fromkeys(("name", "version", "decision", "score"), "m"),
        inputs=(Tensor("X", "FP64", (-1, 1000)),),
        outputs=(Tensor("m", "INT64", (-1,)),),
        feature_names=([f"f{number}" for number in range(1000)],),
        log=SimpleNamespace(keep=["f1"], bucket={}, hashed=[], protected=[]),
    )
    form = RecordForm(cast("Any", manifest), "r", "stable")
    record = Record(form, "id", 1.0, 0.5, 200, "", 3, (), None)
    assert record.cost == 6
