"""The life of an application with a model: start, load, overload, drain, end."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from model_server.pages import Pages

from tests.server.conftest import COLUMNS, write_slow_model
from tests.server.test_drain import Callers, wait_for_message
from tests.server.test_prediction_log import finished, records
from tests.support.example_app import FRAMEWORKS, ExampleApp
from tests.support.model_server import read_all, request

BODY = request([1, 2, 3, 4], COLUMNS)
RAW = (
    b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b"
)
SERVERS = ("fastapi", "flask")
"""One for uvicorn, one for gunicorn, where the framework makes no difference."""
WORKER_BYTES = 384 * 2**20
"""What a pod of an example may use; its processes stay well below."""


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Starting(ExampleApp):
    """One that is entered as soon as it answers at all."""

    def _wait(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and self.is_alive():
            listening = [it for it in self.logs() if it["message"] == "listening"]
            try:
                self.port = listening[0]["port"]
                self.connect().close()
            except (IndexError, ConnectionRefusedError):
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(self.output.read_text())


def test_not_ready_until_the_model_is_loaded_and_warm(
    framework: str, tmp_path: Path, log_folder: Path
) -> None:
    write_slow_model(tmp_path / "models/slow", products=8)
    seen: list[tuple[int, str]] = []
    with Starting(framework, tmp_path / "models", log_folder) as app:
        while (200, "") not in seen:
            answer = app.client.get("/readyz")
            seen.append((answer.status_code, answer.json().get("reason", "")))
            if seen[-1][0] == 503:
                assert app.client.get("/healthz").status_code == 200
                early = app.client.post("/infer", json=BODY)
                if early.status_code != 200:
                    assert early.json()["code"] == "not_ready"
                    assert early.headers["retry-after"] == "1"
            assert app.is_alive()
            time.sleep(0.02)
        assert app.client.post("/infer", json=BODY).status_code == 200
        assert set(seen) == {(503, "loading"), (200, "")}
        assert seen == sorted(seen, reverse=True)
        assert app.metrics()["model_ready"] == 1


def test_a_prediction_that_models_overtake_is_asked_to_come_again() -> None:
    """Its path had no model when its way was chosen, and has one on that way."""
    service = SimpleNamespace(
        models_by_path={"/infer": object()},
        new_id=lambda: "1",
        count_http_error=lambda _: None,
        is_draining=False,
    )
    status, headers, body = Pages(cast("Any", service)).answer("POST", "/infer", {})
    assert status == 503
    assert json.loads(body)["code"] == "not_ready"
    assert (b"retry-after", b"1") in headers
    status, headers, _ = Pages(cast("Any", service)).answer("GET", "/infer", {})
    assert (status, (b"allow", b"POST") in headers) == (405, True)


def test_requests_of_many_threads_are_batched(
    framework: str, slow_models: Path, log_folder: Path
) -> None:
    """They wait for one model, so most runs answer several of them."""
    with ExampleApp(framework, slow_models, log_folder) as app:

        def ask(number: int) -> Any:
            body = request([number, 1, 1, 1], COLUMNS)
            return app.client.post("/infer", json=body).json()["outputs"][0]["data"]

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, range(96)))
        assert [answer[0] for answer in answers] == [
            pytest.approx(number + 3, rel=1e-5) for number in range(96)
        ]
        found = app.metrics()
        assert found["model_batch_rows_sum"] == 96
        assert found["model_batch_rows_count"] < 48
        assert found["model_server_connections"] >= 1
        used = app.resident_bytes() + found["process_resident_memory_bytes"]
        assert used < 0.75 * WORKER_BYTES


@pytest.mark.parametrize("framework", SERVERS)
def test_a_full_queue_refuses_at_once(
    framework: str, slow_models: Path, log_folder: Path
) -> None:
    limits = {"MAX_BATCH_ROWS": 1, "MAX_QUEUE_ROWS": 3, "MAX_REQUEST_ROWS": 3}
    with ExampleApp(framework, slow_models, log_folder, **limits) as app:
        with ThreadPoolExecutor(16) as pool:
            answers = list(
                pool.map(lambda _: app.client.post("/infer", json=BODY), range(64))
            )
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.json()["code"] for answer in refused} == {"overloaded"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert app.metrics()["model_inflight"] == 0


def test_no_request_fails_during_the_deregistration_delay(
    framework: str, models: Path, log_folder: Path
) -> None:
    """Under load, on connections that are kept and on new ones; nothing unlogged."""
    with ExampleApp(framework, models, log_folder, DEREGISTRATION_SECONDS=3) as app:
        callers = [Callers(app.url, 2, keep_alive=it) for it in (True, False)]
        for it in callers:
            it.wait_for(20)
        app.process.send_signal(signal.SIGTERM)
        wait_for_message(app, "draining")
        before = [it.seen["200"] for it in callers]
        ready = app.client.get("/readyz")
        assert ready.status_code == 200
        for path in ("/readyz", "/nothing"):  # of the contract and of the application
            assert app.client.get(path).headers["connection"] == "close"
        for it, count in zip(callers, before, strict=True):
            it.wait_for(count + 20)
        seen = callers[0].stop() + callers[1].stop()
        assert app.is_alive()
        assert app.process.wait(10) == 0
        with pytest.raises(ConnectionRefusedError):
            app.connect()
    assert set(seen) == {"200"}
    messages = [it["message"] for it in app.logs() if it["logger"] == "model_server"]
    assert messages[-3:] == ["draining", "closing", "stopped"]
    assert len(records(log_folder)) == seen["200"]
    assert finished(log_folder) == sorted(log_folder.iterdir())


@pytest.mark.parametrize("framework", SERVERS)
def test_requests_in_flight_are_finished(
    framework: str, slow_models: Path, log_folder: Path
) -> None:
    """Twenty requests wait for a slow model when listening ends; all are answered.

    Some of them only in the kernel's queue: they have connected, and have been sent.
    """
    limits = {"MAX_BATCH_ROWS": 1, "MAX_WAIT_SECONDS": 30}
    with ExampleApp(framework, slow_models, log_folder, **limits) as app:
        body = json.dumps(BODY).encode()
        app.metrics()
        callers = [app.connect(timeout=30) for _ in range(20)]
        for caller in callers:
            caller.sendall(RAW % (len(body), body))
        app.process.send_signal(signal.SIGTERM)
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(read_all, callers))
        for caller in callers:
            caller.close()
        assert app.process.wait(20) == 0
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * 20
    assert all(b'"outputs":[' in answer for answer in answers)


@pytest.mark.parametrize("framework", SERVERS)
def test_clients_that_do_not_close_keep_nobody_waiting(
    framework: str, models: Path, log_folder: Path
) -> None:
    """gunicorn itself waits two seconds for each, one after another, in its loop."""
    with ExampleApp(framework, models, log_folder) as app:
        raw = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        callers = [app.connect(timeout=5) for _ in range(20)]
        for caller in callers:
            caller.sendall(raw)
        last_first = reversed(callers)
        assert all(caller.recv(12) == b"HTTP/1.1 200" for caller in last_first)
        for caller in callers:
            caller.close()


@pytest.mark.parametrize("framework", SERVERS)
def test_a_second_signal_ends_the_wait(
    framework: str, models: Path, log_folder: Path
) -> None:
    with ExampleApp(framework, models, log_folder, DEREGISTRATION_SECONDS=60) as app:
        app.process.send_signal(signal.SIGTERM)
        wait_for_message(app, "draining")
        assert app.is_alive()
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(10) == 0


@pytest.mark.parametrize("framework", SERVERS)
def test_the_drain_has_an_end(framework: str, models: Path, log_folder: Path) -> None:
    """A client that never finishes its request does not hold the exit up."""
    limits = {"DRAIN_SECONDS": 1, "REQUEST_TIMEOUT_SECONDS": 60}
    with ExampleApp(framework, models, log_folder, **limits) as app:
        answered = app.client.post("/infer", json=BODY)
        with app.connect() as connection:
            connection.sendall(RAW % (50, b"{"))
            time.sleep(0.3)
            started = time.monotonic()
            assert app.stop() == 0
            assert 0.8 < time.monotonic() - started < 6
    assert records(log_folder)[0]["id"] == answered.headers["x-request-id"]
    assert finished(log_folder)


def test_a_slow_body_is_refused_and_frees_its_thread(
    framework: str, models: Path, log_folder: Path
) -> None:
    limits = {"REQUEST_TIMEOUT_SECONDS": 0.5, "MAX_CONNECTIONS": 100}
    with ExampleApp(framework, models, log_folder, **limits) as app:
        slow = [app.connect() for _ in range(40)]  # more than gunicorn has threads
        for connection in slow:
            connection.sendall(RAW % (50, b"{"))
        assert app.client.get("/healthz").status_code == 200
        for connection in slow:
            answer = read_all(connection)
            connection.close()
            assert answer.startswith(b"HTTP/1.1 408 "), answer
            assert b'"code":"request_timeout"' in answer
        assert app.client.post("/infer", json=BODY).status_code == 200


@pytest.mark.parametrize("framework", SERVERS)
def test_wrong_settings_end_the_start(
    framework: str, models: Path, log_folder: Path
) -> None:
    for settings, code in (
        ({"GRPC_PORT": 9000}, 2),
        ({"DRAIN_SECONDS": "long", "THREADS": -1}, 2),
        ({"DEFAULT_VERSION": "9"}, {"fastapi": 1}.get(framework, 3)),
        ({"PREDICTION_LOG": "/nowhere"}, {"fastapi": 2}.get(framework, 3)),
    ):
        app = ExampleApp(framework, models, log_folder, **settings)
        with pytest.raises(RuntimeError, match="the server ended"), app:
            pass
        assert app.process.returncode == code, app.output.read_text()
        told = " ".join(line["message"] for line in app.logs())
        assert all(f"MODEL_SERVER_{name}=" in told for name in settings)
        assert "Traceback" not in app.output.read_text()


@pytest.mark.parametrize("framework", ["flask"])
def test_a_worker_that_dies_is_replaced(
    framework: str, models: Path, log_folder: Path
) -> None:
    """gunicorn starts a new one, which loads the model; uvicorn's pod is restarted."""
    with ExampleApp(framework, models, log_folder) as app:
        children = Path(f"/proc/{app.process.pid}/task/{app.process.pid}/children")
        (worker,) = map(int, children.read_text().split())
        os.kill(worker, signal.SIGKILL)
        end = time.monotonic() + 20
        while [it["message"] for it in app.logs()].count("ready") < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert app.client.post("/infer", json=BODY).status_code == 200
        assert app.stop() == 0
