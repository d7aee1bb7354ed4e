"""gRPC beside HTTP: one batch, one drain, the same limits, counters and log."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest

from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_drain import wait_for_message
from tests.support import sockets
from tests.support.grpc_calls import (
    CHECK,
    METHOD,
    WATCH,
    answer,
    channel,
    free_port,
    request,
)
from tests.support.model_server import ModelServer
from tests.support.model_server import request as json_request

ONE = [[1.0, 2.0, 3.0, 4.0]]
LIBRARY = "/_upb/"


@pytest.fixture(scope="module")
def both(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ModelServer, int]]:
    log = tmp_path_factory.mktemp("grpc") / "log"
    log.mkdir()
    port = free_port()
    with ModelServer(
        models,
        log,
        GRPC_PORT=port,
        MAX_BODY_BYTES=65536,
        REQUEST_TIMEOUT_SECONDS=0.5,
        GRPC_MAX_CALLS=20,
    ) as running:
        yield running, port


def test_off_takes_no_memory(
    models: Path, log_folder: Path, both: tuple[ModelServer, int]
) -> None:
    """Without a port nothing of gRPC is loaded; with one it costs a bounded sum.

    What shows of it is protobuf: frames and calls are modules of our own.
    """
    with ModelServer(models, log_folder) as off:
        assert LIBRARY not in Path(f"/proc/{off.process.pid}/maps").read_text()
        without = off.resident_bytes()
    on, _ = both
    assert LIBRARY in Path(f"/proc/{on.process.pid}/maps").read_text()
    assert on.resident_bytes() - without < 32_000_000


def test_counters_and_log_are_those_of_http(models: Path, log_folder: Path) -> None:
    port = free_port()
    with (
        ModelServer(models, log_folder, GRPC_PORT=port) as server,
        channel(port) as open_channel,
    ):
        call = open_channel.unary_unary(METHOD)
        found, info = call.with_call(
            request(ONE, id="in-body"), metadata=[("x-request-id", "grpc-1")]
        )
        assert answer(found).id == "in-body"
        after = dict(info.trailing_metadata())
        assert after["x-request-id"] == "grpc-1"
        assert after["x-model-revision"].startswith("sha256:")
        with pytest.raises(grpc.RpcError) as caught:
            call(request([[1.0] * 3]), metadata=[("x-request-id", "grpc-2")])
        told = dict(caught.value.trailing_metadata())
        assert told["x-error-code"] == "invalid_request"
        assert told["x-request-id"] == "grpc-2"
        with pytest.raises(grpc.RpcError):
            call(request(ONE, model="nosuch"))
        counted = server.metrics()
        assert counted["model_requests_total"] == 2
        assert counted["model_errors_total"] == 1
        assert counted["model_server_http_errors_total"] == 1
        assert counted["model_latency_seconds_count"] == 2
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
    lines = [
        json.loads(line)
        for file in log_folder.iterdir()
        for line in file.read_text().splitlines()
    ]
    assert [(line["id"], line["status"]) for line in lines] == [
        ("grpc-1", 200),
        ("grpc-2", 400),
    ]
    assert list(lines[0]["features"].values()) == ONE[0]


def test_equal_to_http_and_in_one_batch(
    slow_models: Path, log_folder: Path, tiny: Tiny
) -> None:
    """Requests that queue during a run make one batch, however they came."""
    port = free_port()
    with (
        ModelServer(
            slow_models, log_folder, GRPC_PORT=port, MAX_WAIT_SECONDS=60
        ) as server,
        channel(port) as open_channel,
    ):
        call = open_channel.unary_unary(METHOD)
        call(request(ONE, model="slow"))
        before = server.metrics()
        futures = [call.future(request([[n, 1, 1, 1]], model="slow")) for n in range(8)]
        posted = [
            server.client.post("/infer", json=json_request([n, 1, 1, 1], COLUMNS))
            for n in range(2)
        ]
        sums = [
            np.frombuffer(answer(future.result()).raw_output_contents[0], "<f4")[0]
            for future in futures
        ]
        after = server.metrics()
    assert sums == pytest.approx([n + 3 for n in range(8)])
    assert [it.json()["outputs"][0]["data"][0] for it in posted] == pytest.approx(
        [3, 4]
    )
    runs = after["model_batch_rows_count"] - before["model_batch_rows_count"]
    assert after["model_batch_rows_sum"] - before["model_batch_rows_sum"] == 10
    assert runs < 8


def test_overload_tells_when_to_try_again(slow_models: Path, log_folder: Path) -> None:
    port = free_port()
    with (
        ModelServer(
            slow_models,
            log_folder,
            GRPC_PORT=port,
            MAX_QUEUE_ROWS=4,
            MAX_REQUEST_ROWS=4,
            MAX_BATCH_ROWS=2,
        ) as server,
        channel(port) as open_channel,
    ):
        call = open_channel.unary_unary(METHOD)
        futures = [call.future(request(ONE, model="slow")) for _ in range(40)]
        codes = Counter(future.code() for future in futures)
        assert set(codes) == {
            grpc.StatusCode.OK,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        }
        refused = [it for it in futures if it.code() != grpc.StatusCode.OK]
        for future in refused:
            told = dict(future.trailing_metadata())
            assert told["x-error-code"] == "overloaded"
            assert int(told["grpc-retry-pushback-ms"]) >= 1000
            assert int(told["retry-after"]) >= 1
        assert server.metrics()["model_errors_total"] == len(refused)


def test_a_deadline_that_passes_in_the_queue_costs_no_run(
    slow_models: Path, log_folder: Path
) -> None:
    port = free_port()
    with (
        ModelServer(
            slow_models,
            log_folder,
            GRPC_PORT=port,
            MAX_BATCH_ROWS=1,
            MAX_WAIT_SECONDS=60,
        ) as server,
        channel(port) as open_channel,
    ):
        call = open_channel.unary_unary(METHOD)
        call(request(ONE, model="slow"))
        patient = [call.future(request(ONE, model="slow")) for _ in range(12)]
        hasty = [call.future(request(ONE, model="slow"), timeout=0.03) for _ in "abcd"]
        assert {it.code() for it in hasty} <= {
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.RESOURCE_EXHAUSTED,  # it could not be kept, as is known
        }
        assert {it.code() for it in patient} == {grpc.StatusCode.OK}
        counted = server.metrics()
        assert counted["model_batch_rows_sum"] < 13 + len(hasty)


@pytest.mark.parametrize("name", ["", "inference.GRPCInferenceService", "tiny"])
def test_the_health_service(both: tuple[ModelServer, int], name: str) -> None:
    from model_server.grpc_messages import HEALTH, message

    asked = message("HealthCheckRequest", HEALTH)(service=name).SerializeToString()
    with channel(both[1]) as open_channel:
        found = open_channel.unary_unary(CHECK)(asked)
        assert message("HealthCheckResponse", HEALTH).FromString(found).status == 1
        unknown = message("HealthCheckRequest", HEALTH)(service="no")
        with pytest.raises(grpc.RpcError) as caught:
            open_channel.unary_unary(CHECK)(unknown.SerializeToString())
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_clients_that_stop_half_way_are_cut_off(both: tuple[ModelServer, int]) -> None:
    """Twenty calls may run at once; twenty-five never send their message."""
    server, port = both

    def never() -> Iterator[bytes]:
        time.sleep(2)
        yield b""

    with channel(port) as open_channel, channel(port) as other:
        call = open_channel.stream_unary(METHOD)
        stuck = [call.future(never()) for _ in range(25)]
        good = other.unary_unary(METHOD)
        end = time.monotonic() + 10
        outcomes = []
        while not outcomes or outcomes[-1] != grpc.StatusCode.OK:
            assert time.monotonic() < end, outcomes
            outcomes.append(good.future(request(ONE)).code())
            time.sleep(0.05)
        assert Counter(future.code().name for future in stuck) == {
            "DEADLINE_EXCEEDED": 20,
            "RESOURCE_EXHAUSTED": 5,
        }
    assert server.client.get("/healthz").is_success


@pytest.mark.parametrize(
    ("method", "data", "code"),
    [
        (METHOD, b"\xff" * 40, grpc.StatusCode.INVALID_ARGUMENT),
        (METHOD, b"", grpc.StatusCode.NOT_FOUND),
        (METHOD + "Nothing", b"", grpc.StatusCode.UNIMPLEMENTED),
        (WATCH, b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_garbage_and_unknown_methods(
    both: tuple[ModelServer, int], method: str, data: bytes, code: grpc.StatusCode
) -> None:
    with channel(both[1]) as open_channel:
        with pytest.raises(grpc.RpcError) as caught:
            list(open_channel.unary_stream(method)(data))
        assert caught.value.code() == code


def test_more_connections_than_allowed(models: Path, log_folder: Path) -> None:
    """One too many is closed at once, and a place that is free again is given."""
    port = free_port()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

    def is_taken() -> bool:
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        held.append(connection)
        try:
            connection.sendall(preface)
            return connection.recv(9) != b""
        except ConnectionError:
            return False

    held: list[socket.socket] = []
    settings = {"GRPC_PORT": port, "MAX_CONNECTIONS": 3}
    with ModelServer(models, log_folder, **settings):
        try:
            assert [is_taken() for _ in range(5)] == [True] * 3 + [False] * 2
            held[0].close()
            time.sleep(0.3)
            assert is_taken()
        finally:
            for connection in held:
                connection.close()


def test_watching_tells_of_the_drain(models: Path, log_folder: Path) -> None:
    port = free_port()
    with (
        ModelServer(
            models, log_folder, GRPC_PORT=port, DEREGISTRATION_SECONDS=0.3
        ) as server,
        channel(port) as open_channel,
    ):
        states = open_channel.unary_stream(WATCH)(b"")
        assert next(states) == b"\x08\x01"
        server.process.send_signal(signal.SIGTERM)
        assert next(states) == b"\x08\x02"
        assert list(states) == []
        assert server.process.wait(5) == 0


def test_a_message_that_unpacks_beyond_the_limit(both: tuple[ModelServer, int]) -> None:
    """64 MiB of zeros are 64 KiB in gzip: refused, and never held whole for long."""
    server, port = both
    before = server.resident_bytes()
    with channel(port) as open_channel:
        call = open_channel.unary_unary(METHOD)
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as caught:
                call(bytes(2**26), compression=grpc.Compression.Gzip)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert call(request(ONE), compression=grpc.Compression.Gzip)
    assert server.resident_bytes() - before < 16_000_000


def test_no_call_fails_in_a_drain(models: Path, log_folder: Path) -> None:
    """Calls in a loop, all through the deregistration delay."""
    port = free_port()
    seen: Counter[str] = Counter()
    end = threading.Event()
    with (
        ModelServer(
            models, log_folder, GRPC_PORT=port, DEREGISTRATION_SECONDS=1
        ) as server,
        channel(port) as open_channel,
    ):
        call = open_channel.unary_unary(METHOD)

        def ask() -> None:
            while not end.is_set():
                code = call.future(request(ONE)).code()
                seen[code.name] += 1
                if code != grpc.StatusCode.OK:
                    return

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        server.process.send_signal(signal.SIGTERM)
        wait_for_message(server, "draining")
        time.sleep(0.7)
        assert seen["OK"] > 10
        assert set(seen) == {"OK"}
        end.set()
        assert server.process.wait(10) == 0
        for thread in threads:
            thread.join(10)
        assert server.logs()[-1]["message"] == "stopped"
        assert not [it for it in server.logs() if it["level"] == "error"]


def test_what_is_under_way_is_finished(slow_models: Path, log_folder: Path) -> None:
    """Calls that the server has received and not yet read when it is told to stop.

    It is held up while they arrive, so it finds the signal and the calls at once. A
    message is longer than all else that is sent: their bytes tell that all are there.
    """
    unknown = b"\xc2\x3e\x80\x20" + bytes(4096)  # a field that its reader passes over
    message = request(ONE, model="slow") + unknown
    port = free_port()
    with (
        ModelServer(
            slow_models,
            log_folder,
            GRPC_PORT=port,
            MAX_BATCH_ROWS=1,
            MAX_WAIT_SECONDS=60,
        ) as server,
        channel(port) as open_channel,
    ):
        call = open_channel.unary_unary(METHOD)
        call(request(ONE, model="slow"))
        server.suspend()
        futures = [call.future(message) for _ in range(12)]
        sockets.wait_until(lambda: sockets.unread(port) >= 12 * len(message))
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        assert [future.code() for future in futures] == [grpc.StatusCode.OK] * 12
        assert server.process.wait(10) == 0


def test_a_port_in_use(both: tuple[ModelServer, int], log_folder: Path) -> None:
    server, port = both
    models = Path(server.environment["MODEL_SERVER_MODELS"])
    with (
        pytest.raises(RuntimeError, match=f"MODEL_SERVER_GRPC_PORT={port}"),
        ModelServer(models, log_folder, GRPC_PORT=port),
    ):
        pass
    assert httpx.get(f"{server.url}/readyz").is_success
