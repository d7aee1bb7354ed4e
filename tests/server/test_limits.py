"""Sizes, slow clients, overload: the server refuses clearly and stays whole."""

from __future__ import annotations

import concurrent.futures
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from tests.server.conftest import COLUMNS
from tests.support.model_server import ModelServer, request
from tests.support.prometheus_text import labelled

BODY = json.dumps(request([1, 2, 3, 4], COLUMNS)).encode()
HEAD = b"POST /infer HTTP/1.1\r\nhost: a\r\n"


@pytest.fixture(scope="module")
def hasty(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    """A server that waits for a request 0.5 s only and takes 20 connections."""
    log = tmp_path_factory.mktemp("hasty") / "log"
    log.mkdir()
    with ModelServer(
        models,
        log,
        REQUEST_TIMEOUT_SECONDS=0.5,
        MAX_CONNECTIONS=20,
        MAX_BODY_BYTES=200_000,
        MAX_BUFFERED_BYTES=300_000,
        MAX_HEADER_BYTES=2000,
    ) as running:
        yield running


def rows(count: int) -> bytes:
    return json.dumps(request([1] * (count * COLUMNS), COLUMNS)).encode()


def test_too_many_rows(server: ModelServer) -> None:
    assert server.client.post("/infer", content=rows(300)).is_success
    answer = server.client.post("/infer", content=rows(301))
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_many_rows"
    assert answer.json()["path"] == "inputs[0].shape"


def test_a_body_of_the_limit_is_taken_and_a_larger_one_not(server: ModelServer) -> None:
    assert server.client.post("/infer", content=BODY.ljust(65536)).is_success
    answer = server.client.post("/infer", content=BODY.ljust(65537))
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


def test_a_declared_length_is_refused_before_the_body_comes(
    server: ModelServer,
) -> None:
    answer = server.exchange(HEAD + b"content-length: 99999999999\r\n\r\n", timeout=1)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_without_length_is_counted_as_it_comes(server: ModelServer) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 4096

    answer = server.client.post("/infer", content=endless())
    assert answer.status_code == 413
    # The connection can be used again: the rest of the body was thrown away.
    assert server.client.post("/infer", content=BODY).is_success


def test_a_body_without_end_is_refused_at_the_limit(server: ModelServer) -> None:
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    with server.connect(timeout=3) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunk * 9)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_longer_than_declared_is_not_read_as_part_of_it(
    server: ModelServer,
) -> None:
    raw = HEAD + b"content-length: %d\r\n\r\n%bgarbage\r\n\r\n" % (len(BODY), BODY)
    answer = server.exchange(raw)
    assert answer.startswith(b"HTTP/1.1 200 ") or b" 400 Bad Request" in answer
    assert answer.count(b" 400 Bad Request") == 1


def test_a_body_shorter_than_declared_times_out(hasty: ModelServer) -> None:
    started = time.monotonic()
    answer = hasty.exchange(HEAD + b"content-length: 500\r\n\r\n" + BODY)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"request_timeout" in answer
    assert 0.4 < time.monotonic() - started < 3


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"POST",
        HEAD,
        HEAD + b"content-length: 10\r\n",
    ],
)
def test_a_head_that_does_not_end_times_out(hasty: ModelServer, head: bytes) -> None:
    started = time.monotonic()
    answer = hasty.exchange(head)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.4 < time.monotonic() - started < 3


def test_a_large_body_that_does_not_end_times_out(hasty: ModelServer) -> None:
    started = time.monotonic()
    answer = hasty.exchange(HEAD + b"content-length: 150000\r\n\r\n" + b" " * 100_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.4 < time.monotonic() - started < 4


def test_a_client_that_dribbles_times_out(hasty: ModelServer) -> None:
    with hasty.connect() as connection:
        connection.sendall(HEAD + b"content-length: 500\r\n\r\n")
        answer = b""
        connection.settimeout(0.05)
        for _ in range(60):
            try:
                connection.sendall(b" ")
                answer += connection.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer:
                break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_stays(hasty: ModelServer) -> None:
    with hasty.connect(timeout=2) as connection:
        raw = HEAD + b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
        for _ in range(2):
            connection.sendall(raw)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            time.sleep(1.2)


def test_large_headers(hasty: ModelServer) -> None:
    for head in (
        b"GET /healthz?" + b"a" * 3000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nx: " + b"a" * 3000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 1000 + b"\r\n",
    ):
        answer = hasty.exchange(head)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"headers_too_large" in answer


def test_headers_that_never_end_do_not_fill_memory(hasty: ModelServer) -> None:
    before = hasty.resident_bytes()
    with hasty.connect(timeout=2) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        try:
            for _ in range(300):
                connection.sendall(b"a" * 65536)
        except OSError:
            pass
        else:
            pytest.fail("20 MB of one header were taken")
    assert hasty.resident_bytes() - before < 10_000_000


def test_more_connections_than_allowed(hasty: ModelServer) -> None:
    """20 connections, and 16 more for probes; others are closed at once."""
    wait_for_no_connections(hasty)
    opened = [hasty.connect() for _ in range(46)]
    try:
        refused = [read_head(connection) for connection in opened[36:]]
        assert [head[:13] for head in refused] == [b"HTTP/1.1 503 "] * 10
        assert all(b"retry-after: 1" in head for head in refused)
    finally:
        for connection in opened:
            connection.close()
    wait_for_no_connections(hasty)
    assert hasty.client.get("/healthz").is_success


def test_bodies_under_way_are_bounded_together(hasty: ModelServer) -> None:
    wait_for_no_connections(hasty)
    part = HEAD + b"content-length: 150000\r\n\r\n" + b" " * 110_000
    opened = [hasty.connect() for _ in range(4)]
    try:
        for connection in opened:
            connection.sendall(part)
        answers = sorted(read_head(connection)[9:12] for connection in opened)
    finally:
        for connection in opened:
            connection.close()
    assert answers == [b"408", b"408", b"503", b"503"]
    assert hasty.client.post("/infer", content=BODY.ljust(150_000)).is_success


def test_a_client_that_does_not_read_is_dropped(hasty: ModelServer) -> None:
    wait_for_no_connections(hasty)
    body = rows(1000)
    raw = HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        connection.connect(("127.0.0.1", hasty.port))
        end = time.monotonic() + 6
        try:
            while time.monotonic() < end:
                connection.sendall(raw)
        except TimeoutError:
            pass
        except OSError:
            return
        time.sleep(2.0)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_often(connection, raw)
    wait_for_no_connections(hasty)


def send_often(connection: socket.socket, raw: bytes) -> None:
    for _ in range(3):
        connection.sendall(raw)


def test_a_pipeline_too_long_is_cut(hasty: ModelServer) -> None:
    wait_for_no_connections(hasty)
    raw = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n" * 2000
    answer = hasty.exchange(raw, timeout=3)
    assert b"HTTP/1.1 503 " in answer
    assert hasty.client.get("/healthz").is_success


def wait_for_no_connections(server: ModelServer) -> None:
    server.client.close()
    server.client = httpx.Client(base_url=server.url, timeout=10)
    end = time.monotonic() + 8
    while time.monotonic() < end:
        with httpx.Client(base_url=server.url) as client:
            text = client.get("/metrics").text
        if labelled(text, "model_server_connections") == [({}, 1)]:
            time.sleep(0.05)
            return
        time.sleep(0.05)
    pytest.fail(f"connections stay open:\n{text}")


def read_head(connection: socket.socket) -> bytes:
    connection.settimeout(5)
    return connection.recv(65536)


def test_overload_is_refused_and_the_rest_served(
    slow_models: Path, log_folder: Path
) -> None:
    """A queue of 8 rows before a slow model, 60 requests at once."""
    with ModelServer(
        slow_models,
        log_folder,
        MAX_QUEUE_ROWS=8,
        MAX_REQUEST_ROWS=8,
        MAX_BATCH_ROWS=4,
    ) as server:
        with httpx.Client(
            base_url=server.url, timeout=30, limits=httpx.Limits(max_connections=60)
        ) as client:

            def ask(number: int) -> httpx.Response:
                return client.post("/infer", json=request([number, 1, 1, 1], COLUMNS))

            with concurrent.futures.ThreadPoolExecutor(60) as pool:
                answers = list(pool.map(ask, range(60)))
            statuses = Counter(answer.status_code for answer in answers)
            assert set(statuses) == {200, 503}
            assert statuses[200] >= 8
            for number, answer in enumerate(answers):
                if answer.status_code == 200:
                    data = answer.json()["outputs"][0]["data"]
                    assert data == pytest.approx([number + 3], rel=1e-5)
                else:
                    assert answer.headers["retry-after"] == "1"
                    assert answer.json()["code"] == "overloaded"
            assert ask(5).status_code == 200
        found = server.metrics()
        assert found["model_errors_total"] == statuses[503]
        assert found["model_requests_total"] == 61
        assert found["model_inflight"] == 0


@pytest.mark.calm
def test_a_slow_model_does_not_hold_up_probes(
    slow_models: Path, log_folder: Path
) -> None:
    with ModelServer(slow_models, log_folder, MAX_BATCH_ROWS=1) as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            running = [
                pool.submit(
                    server.client.post, "/infer", json=request([1, 1, 1, 1], COLUMNS)
                )
                for _ in range(8)
            ]
            waits = []
            while not all(future.done() for future in running):
                started = time.monotonic()
                assert httpx.get(f"{server.url}/healthz").is_success
                waits.append(time.monotonic() - started)
        assert all(future.result().is_success for future in running)
        runs = server.metrics()["model_latency_seconds_sum"]
        assert sorted(waits)[len(waits) // 2] < runs / 8


def test_a_value_that_is_not_finite_is_an_error_of_its_own_request(
    slow_models: Path, log_folder: Path
) -> None:
    """The square root of a negative sum is NaN, which JSON cannot say."""
    with ModelServer(slow_models, log_folder) as server:

        def ask(value: float) -> httpx.Response:
            return server.client.post("/infer", json=request([value, 0, 0, 0], COLUMNS))

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(ask, [1, -1] * 6))
        assert [answer.status_code for answer in answers] == [200, 500] * 6
        assert answers[1].json()["code"] == "model_failed"


def test_memory_stays_bounded(server: ModelServer) -> None:
    """2,000 requests of every size leave the process as large as 400 did."""
    bodies = [rows(count) for count in (1, 10, 100, 300)] + [b"[" * 5000]

    def turn(times: int) -> int:
        for _ in range(times):
            for body in bodies:
                server.client.post("/infer", content=body)
        return server.resident_bytes()

    before = turn(80)
    assert turn(320) - before < 8_000_000


@pytest.mark.parametrize(
    ("state", "seconds", "expected"),
    [
        ({"_stalled_since": 100.0}, 0.4, ""),
        ({"_stalled_since": 100.0}, 0.6, "abort"),
        ({"_idle_since": 100.0}, 3699, ""),
        ({"_idle_since": 100.0}, 3701, "close"),
        ({"_closing_since": 100.0, "closing": True}, 0.4, ""),
        ({"_closing_since": 100.0, "closing": True}, 0.6, "abort"),
    ],
)
def test_what_a_check_does(
    state: dict[str, float], seconds: float, expected: str
) -> None:
    """A stalled write, an idle connection, a close that the client does not take."""
    from model_server.config import read
    from model_server.connection import Connection

    done: list[str] = []
    transport = SimpleNamespace(
        is_closing=lambda: state.get("closing", False),
        abort=lambda: done.append("abort"),
        close=lambda: done.append("close"),
    )
    config = read({"MODEL_SERVER_REQUEST_TIMEOUT_SECONDS": "0.5"})
    times = dict.fromkeys(
        ("_closing_since", "_stalled_since", "_receiving_since", "_idle_since"), 0.0
    )
    connection = SimpleNamespace(
        service=SimpleNamespace(config=config), transport=transport, **times | state
    )
    Connection.check(connection, 100.0 + seconds)  # type: ignore[arg-type]
    assert done == ([expected] if expected else [])
