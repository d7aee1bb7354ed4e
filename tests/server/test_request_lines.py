"""Lines about requests in the server's own log: complete, bounded, without values."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from model_server.request_lines import MOST_WAITING, Allowance, RequestLines

from tests.server.conftest import COLUMNS
from tests.support.example_app import FRAMEWORKS, server_or_example
from tests.support.model_server import SERVER, ModelServer, request

LOGGER = "model_server.requests"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def about_requests(server: ModelServer) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.output.read_text().splitlines()]
    for line in lines:
        assert TIME.fullmatch(line["time"]), line
        assert {"level", "logger", "message"} <= set(line), line
    return [line for line in lines if line["logger"] == LOGGER]


@pytest.mark.parametrize("kind", ["server", *FRAMEWORKS])
def test_each_request_has_its_line(kind: str, models: Path, log_folder: Path) -> None:
    good = request([1, 2, 3, 4] * 3, COLUMNS)
    with server_or_example(kind, models, log_folder) as server:
        for identity, content in (("good/1", good), ("bad-1", {"inputs": []})):
            headers = {"x-request-id": identity}
            answer = server.client.post("/infer", json=content, headers=headers)
            assert answer.headers["x-request-id"] == identity
        revision = answer.headers["x-model-revision"]
        assert server.stop() == 0
        answered, failed = about_requests(server)
    common = {"model": "tiny", "revision": revision, "logger": LOGGER, "level": "info"}
    assert {**common, "request_id": "good/1", "status": 200, "rows": 3}.items() <= (
        answered.items()
    )
    assert answered["message"] == "request answered"
    assert 0 < answered["latency_seconds"] < 10
    assert "code" not in answered
    assert {**common, "request_id": "bad-1", "status": 400}.items() <= failed.items()
    assert (failed["message"], failed["code"]) == ("request failed", "invalid_request")


def test_the_lines_are_bounded_and_can_be_switched_off(
    models: Path, tmp_path: Path
) -> None:
    content = request([1, 2, 3, 4], COLUMNS)
    told = {}
    for most in (0, 2):
        log = tmp_path / str(most) / "log"
        log.mkdir(parents=True)
        with ModelServer(models, log, REQUEST_LINES_PER_SECOND=most) as server:
            for _ in range(200):
                assert server.client.post("/infer", json=content).status_code == 200
            assert server.stop() == 0
            told[most] = about_requests(server)
    assert told[0] == []
    assert 2 <= len(told[2]) < 150
    held = sum(line.get("held_back", 0) for line in told[2])
    assert held + len(told[2]) <= 200


def test_an_allowance_fills_with_time() -> None:
    moment = 0.0
    allowance = Allowance(2, lambda: moment)
    assert [allowance.take() for _ in range(5)] == [0, 0, None, None, None]
    moment = 0.4
    assert allowance.take() is None
    moment = 0.5
    assert [allowance.take() for _ in range(2)] == [4, None]
    moment = 100.0
    assert [allowance.take() for _ in range(3)] == [1, 0, None]
    assert Allowance(0, lambda: 10.0).take() is None


def record(code: str = "", status: int = 200) -> Any:
    return SimpleNamespace(
        request_id="r", status=status, rows=1, latency=0.1, code=code
    )


def test_a_flood_of_answers_hides_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lines = RequestLines(1, clock=lambda: 0.0)
    for _ in range(10):
        lines.add("m", "r1", record())
    lines.add("m", "r1", record("overloaded", 503))
    lines.close()
    found = [(it.levelname, it.getMessage()) for it in caplog.records]
    assert found == [("INFO", "request answered"), ("WARNING", "request failed")]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_server.request_lines.Thread", SimpleNamespace)
    lines = RequestLines(10 * MOST_WAITING, clock=lambda: 0.0)
    monkeypatch.setattr(lines, "_thread", SimpleNamespace())
    for _ in range(3 * MOST_WAITING):
        lines.add("m", "r1", record())
    assert lines._waiting.qsize() == MOST_WAITING
    assert lines._answers.held_back == 2 * MOST_WAITING


def test_an_output_that_nobody_reads_holds_no_request_up(
    models: Path, log_folder: Path
) -> None:
    """A pipe takes 64 KiB; these lines need ten times as much."""
    reading, writing = os.pipe()
    server = ModelServer(
        models, log_folder, REQUEST_LINES_PER_SECOND=10_000, LOG_LEVEL="info"
    )
    content = request([1, 2, 3, 4], COLUMNS)
    process = subprocess.Popen(
        server.command,
        env={**server.environment, "PYTHONPATH": str(SERVER)},
        stdout=writing,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        head = b""
        while b'"ready"' not in head:  # comes after "listening"
            head += os.read(reading, 65536)
        line = next(it for it in head.splitlines() if b'"listening"' in it)
        server.port = json.loads(line)["port"]
        import httpx

        with httpx.Client(base_url=server.url, timeout=10) as client:
            for _ in range(3000):
                client.post("/infer", json=content).raise_for_status()
            assert client.get("/healthz").status_code == 200
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(reading)
