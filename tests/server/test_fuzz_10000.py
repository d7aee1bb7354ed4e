"""Ten thousand broken requests by HTTP and gRPC: refused, and nothing left behind."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.server.conftest import COLUMNS, Tiny
from tests.support import fuzz_grpc, fuzz_http
from tests.support.grpc_calls import answer, channel, free_port
from tests.support.model_server import ModelServer, read_all

SEED = 20261123
HTTP_REQUESTS = 6000
GRPC_CALLS = 4000
SHARE_FOR_WARM_UP = 0.25
IN_FLIGHT = 16
SLOW_CLIENTS = 40
GROWTH_BYTES = 6_000_000
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CLIENT_FAULTS = {
    *("INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"),
    *("DEADLINE_EXCEEDED", "OK"),
}


@pytest.fixture(scope="module")
def fuzzed(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ModelServer, int]]:
    log = tmp_path_factory.mktemp("fuzzed") / "log"
    log.mkdir()
    port = free_port()
    with ModelServer(
        models,
        log,
        GRPC_PORT=port,
        MAX_BODY_BYTES=65536,
        MAX_REQUEST_ROWS=300,
        REQUEST_TIMEOUT_SECONDS=2,
        PREDICTION_LOG_TOTAL_BYTES=2**21,
        PREDICTION_LOG_FILE_BYTES=2**18,
    ) as running:
        yield running, port


def growth(server: ModelServer, run: Callable[[int], None], count: int) -> int:
    """Bytes by which the process grew after a warm-up by the first of the runs."""
    warm_up = int(count * SHARE_FOR_WARM_UP)
    run(warm_up)
    before = server.resident_bytes()
    run(count - warm_up)
    return server.resident_bytes() - before


def assert_whole(server: ModelServer, tiny: Tiny) -> None:
    """The server lives, has logged no fault of its own and answers right."""
    assert server.is_alive()
    assert not [it for it in server.logs() if it["level"] in {"error", "critical"}]
    found = server.client.post(
        "/infer", json={"inputs": [tensor(tiny.rows[:3].astype(float))]}
    ).json()["outputs"][1]["data"]
    expected = tiny.probabilities()[:3].ravel()
    assert np.abs(np.array(found) - expected).max() < 1e-6
    counted = server.metrics()
    assert counted["model_inflight"] == 0


def tensor(rows: Any) -> dict[str, Any]:
    shape = list(rows.shape)
    return {"name": "X", "shape": shape, "datatype": "FP32", "data": rows.tolist()}


def test_six_thousand_by_http(fuzzed: tuple[ModelServer, int], tiny: Tiny) -> None:
    server, _ = fuzzed
    requests = fuzz_http.broken(SEED, COLUMNS)
    right = fuzz_http.right(COLUMNS)
    statuses: Counter[int] = Counter()

    def run(count: int) -> None:
        for number, raw in enumerate(islice(requests, count)):
            found = exchange(server, raw)
            for part in found.split(b"HTTP/1.1 ")[1:]:
                status = int(part[:3])
                statuses[status] += 1
                assert status < 500 or status == 501, (raw, found)
            if number % 20 == 0:
                assert exchange(server, right).startswith(b"HTTP/1.1 200 ")

    with slow_clients(server):
        grown = growth(server, run, HTTP_REQUESTS)
    assert statuses.total() > HTTP_REQUESTS * 0.8
    assert {200, 400, 404, 405, 413} <= set(statuses)
    assert grown < GROWTH_BYTES, grown
    assert_whole(server, tiny)


def exchange(server: ModelServer, raw: bytes) -> bytes:
    """Send and close one side; a server that has refused may not read it all."""
    with server.connect() as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read_all(connection)


class slow_clients:  # noqa: N801, a context manager that reads as a phrase
    """Clients that send a byte now and then beside all others, and never end."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.cut_off = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(20)
        assert self.cut_off > 0, "no slow client was refused"

    def _run(self) -> None:
        raw = fuzz_http.right(COLUMNS)
        source = random.Random(SEED)
        clients: list[tuple[socket.socket, int]] = []
        while not self._end.is_set():
            while len(clients) < SLOW_CLIENTS:
                clients.append((self._server.connect(), source.randrange(len(raw) - 9)))
            clients = [
                (it, sent + 1) for it, sent in clients if self._send(it, raw, sent)
            ]
            time.sleep(0.3)
        for connection, _ in clients:
            connection.close()

    def _send(self, connection: socket.socket, raw: bytes, sent: int) -> bool:
        connection.setblocking(False)
        try:
            connection.send(raw[sent : sent + 1])
            found = connection.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            found = b""
        self.cut_off += 1
        assert b"HTTP/1.1 5" not in found
        connection.close()
        return False


def test_four_thousand_by_grpc(fuzzed: tuple[ModelServer, int], tiny: Tiny) -> None:
    server, port = fuzzed
    calls = fuzz_grpc.broken(SEED, COLUMNS)
    right = fuzz_grpc.right(COLUMNS)
    codes: Counter[str] = Counter()

    with channel(port) as open_channel:

        def start(call: fuzz_grpc.Call) -> Any:
            method = open_channel.stream_unary(call.method)
            return method.future(
                iter(call.messages), timeout=call.seconds, metadata=call.metadata
            )

        def run(count: int) -> None:
            running: list[tuple[fuzz_grpc.Call, Any]] = []
            for call in islice(calls, count):
                running.append((call, start(call)))
                if len(running) == IN_FLIGHT:
                    finish(running)
            finish(running)
            assert answer(start(right).result()).model_name == "tiny"

        def finish(running: list[tuple[fuzz_grpc.Call, Any]]) -> None:
            for call, future in running:
                code = future.code().name
                codes[code] += 1
                assert code in CLIENT_FAULTS, (call, future.details())
            running.clear()

        grown = growth(server, run, GRPC_CALLS)
    assert set(codes) == CLIENT_FAULTS
    assert grown < GROWTH_BYTES, grown
    assert_whole(server, tiny)


def test_garbage_on_the_grpc_port(fuzzed: tuple[ModelServer, int], tiny: Tiny) -> None:
    """Connections that do not speak HTTP/2, or break off in the midst of it."""
    server, port = fuzzed
    source = random.Random(SEED)

    def run(count: int) -> None:
        for number in range(count):
            noise = source.randbytes(source.randint(1, 300))
            head = (b"", PREFACE, PREFACE + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(head[number % 3] + noise)

    assert growth(server, run, 600) < GROWTH_BYTES
    with channel(port) as open_channel:
        right = fuzz_grpc.right(COLUMNS)
        assert open_channel.unary_unary(right.method)(right.messages[0])
    assert_whole(server, tiny)


def test_calls_that_are_given_up(fuzzed: tuple[ModelServer, int], tiny: Tiny) -> None:
    """A client that cancels its calls at once costs it nothing that stays."""
    server, port = fuzzed
    with channel(port) as open_channel:
        right = fuzz_grpc.right(COLUMNS)
        call = open_channel.unary_unary(right.method)

        def run(count: int) -> None:
            for _ in range(count):
                call.future(right.messages[0]).cancel()
            # gRPC refuses new streams while it clears so many away, unprocessed, so a
            # client may send the call again.
            end = time.monotonic() + 10
            while (code := call.future(right.messages[0]).code()) != grpc.StatusCode.OK:
                assert code == grpc.StatusCode.UNAVAILABLE
                assert time.monotonic() < end

        assert growth(server, run, 600) < GROWTH_BYTES
    assert_whole(server, tiny)
