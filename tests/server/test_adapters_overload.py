"""An application under gunicorn that gets more than its threads can answer.

FastAPI has no threads to wait for: test_adapters_life.py has its bounded queue.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.server.conftest import COLUMNS
from tests.support.example_app import CONFIGURATION, ExampleApp
from tests.support.model_server import request

pytestmark = pytest.mark.calm
SLOW = """
import time
from flask import Flask
from model_server.adapters import Predictor
from model_server.adapters.flask import mount

app = Flask(__name__)

@app.post("/slow")
def slow():
    time.sleep(0.2)
    return "done"

mount(app, Predictor.from_environment())
"""
THREADS = 4
CALLERS = 60
"""Fifteen for each thread: without a bound the last one waits three seconds."""
WAIT_SECONDS = 0.5


@pytest.fixture
def app(models: Path, log_folder: Path, tmp_path: Path) -> Iterator[ExampleApp]:
    """An application with a slow route, and four threads for all of it."""
    (tmp_path / "slow_app.py").write_text(SLOW)
    app = ExampleApp("flask", models, log_folder, MAX_WAIT_SECONDS=WAIT_SECONDS)
    app.environment["PYTHONPATH"] += f":{tmp_path}"
    gunicorn = [sys.executable, "-m", "gunicorn", "--threads", str(THREADS)]
    app.command = [*gunicorn, "--config", CONFIGURATION, "slow_app:app"]
    with app:
        yield app


def test_who_would_wait_too_long_for_a_thread_is_refused(app: ExampleApp) -> None:
    """In bounded time, told when to come back, counted; probes are answered."""
    body = json.dumps(request([1, 2, 3, 4], COLUMNS))
    head = {"content-type": "application/json"}

    def ask(number: int) -> tuple[float, httpx.Response]:
        path = "/infer" if number % 6 == 0 else "/slow"
        started = time.monotonic()
        answer = client.post(path, content=body, headers=head)
        return time.monotonic() - started, answer

    limits = httpx.Limits(max_connections=2 * CALLERS)
    with (
        httpx.Client(base_url=app.url, timeout=10, limits=limits) as client,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        first = [pool.submit(ask, number) for number in range(CALLERS)]
        again = [pool.submit(ask, number) for number in range(CALLERS)]
        for _ in range(3):
            assert app.client.get("/readyz").status_code == 200
            assert app.client.get("/metrics").status_code == 200
        answers = [it.result() for it in (*first, *again)]
    assert {it.status_code for _, it in answers} == {200, 503}
    refused = [it for _, it in answers if it.status_code == 503]
    assert {it.json()["code"] for it in refused} == {"overloaded"}
    assert all(int(it.headers["retry-after"]) >= 1 for it in refused)
    assert {it.headers["connection"] for it in refused} == {"keep-alive"}
    assert max(seconds for seconds, _ in answers) < 3 * WAIT_SECONDS
    found = app.metrics()
    of_model = [it for it in refused if it.url.path == "/infer"]
    assert found["model_errors_total"] == len(of_model) > 0
    others = found["model_server_http_errors_total"]
    assert others == len(refused) - len(of_model) > 0
    assert app.client.post("/slow").status_code == 200


def test_a_refused_connection_takes_the_next_request(app: ExampleApp) -> None:
    """Its body is skipped; one too large to skip ends the connection, which is said."""
    small = b"POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabcde"
    large = b"POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(CALLERS):
            stack.enter_context(app.connect()).sendall(small)
        kept, ended = (stack.enter_context(app.connect()) for _ in range(2))
        kept.sendall(small)
        ended.sendall(large)
        assert answer(kept) == (503, "keep-alive")
        kept.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        assert answer(kept)[0] == 200
        assert answer(ended) == (503, "close")


def answer(connection: socket.socket) -> tuple[int, str]:
    """Status and what is said of the connection; read to its end."""
    response = http.client.HTTPResponse(connection, method="POST")
    response.begin()
    response.read()
    return response.status, response.getheader("connection", "keep-alive").lower()
