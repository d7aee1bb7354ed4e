"""gRPC calls through a real Envoy, which sends them all on few connections.

Its configuration stands here: HTTP/2 on both sides, as Envoy Gateway has it for a
GRPCRoute. tests/cluster/test_grpc_access.py runs the gateway itself.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.server.conftest import Tiny
from tests.server.test_streams_at_the_gateway import free_port, program
from tests.support.grpc_calls import METHOD, answer, channel, request
from tests.support.model_server import ModelServer

TYPE = "type.googleapis.com/envoy.extensions."
CALLERS, CALLS = 16, 50


def configuration(port: int, upstream: int) -> dict[str, Any]:
    def address(number: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    router = {
        "name": "router",
        "typed_config": {"@type": f"{TYPE}filters.http.router.v3.Router"},
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "model", "timeout": "20s"}}
    manager = {
        "@type": f"{TYPE}filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "grpc",
        "generate_request_id": True,
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]
        },
        "http_filters": [router],
    }
    options = {
        "@type": f"{TYPE}upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"endpoint": {"address": address(upstream)}}
    cluster = {
        "name": "model",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            f"{TYPE.rpartition('/')[2]}upstreams.http.v3.HttpProtocolOptions": options
        },
        "load_assignment": {
            "cluster_name": "model",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }
    filters = [{"name": "http", "typed_config": manager}]
    listener = {
        "name": "grpc",
        "address": address(port),
        "filter_chains": [{"filters": filters}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


@contextmanager
def gateway(folder: Path, upstream: int) -> Iterator[int]:
    """Run Envoy in front of a port; give its own."""
    port = free_port()
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration(port, upstream)))
    with (folder / "envoy.log").open("w") as log:
        process = subprocess.Popen(
            [program(), "--config-path", file, "--concurrency", "2"]
            + ["--use-dynamic-base-id", "--log-level", "warning"],
            stdout=log,
            stderr=log,
        )
        try:
            wait_for_listener(port, process, folder)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def wait_for_listener(port: int, process: Any, folder: Path) -> None:
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, (folder / "envoy.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


def test_calls_of_many_callers_are_answered(
    models: Path, log_folder: Path, tmp_path: Path, tiny: Tiny
) -> None:
    """Each has another request id, so that no head is the same as the one before."""
    upstream = free_port()

    def ask(number: int) -> tuple[Any, Any]:
        random = np.random.default_rng(number)
        rows = random.random((number % 40 + 1, 4), dtype=np.float32)
        with channel(port) as opened:
            call = opened.unary_unary(METHOD)
            got = [answer(call(request(rows), timeout=20)) for _ in range(CALLS)]
        return rows, got

    with (
        ModelServer(models, log_folder, GRPC_PORT=upstream) as server,
        gateway(tmp_path, upstream) as port,
    ):
        with ThreadPoolExecutor(CALLERS) as pool:
            found = list(pool.map(ask, range(CALLERS)))
        assert server.metrics()["model_inflight"] == 0
    for rows, got in found:
        expected = tiny.classifier.predict_proba(rows)
        for one in got:
            place = [it.name for it in one.outputs].index("probabilities")
            raw = np.frombuffer(one.raw_output_contents[place], "<f4")
            assert np.abs(raw.reshape(expected.shape) - expected).max() <= 1e-6


def test_refusals_come_through_with_their_status(
    models: Path, log_folder: Path, tmp_path: Path
) -> None:
    upstream = free_port()
    with (
        ModelServer(models, log_folder, GRPC_PORT=upstream),
        gateway(tmp_path, upstream) as port,
        channel(port) as opened,
    ):
        call = opened.unary_unary(METHOD)
        for data, code in (
            (request([[1] * 4], model="none"), grpc.StatusCode.NOT_FOUND),
            (request([[1] * 3]), grpc.StatusCode.INVALID_ARGUMENT),
            (b"\xff" * 20, grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(data, timeout=20)
            assert caught.value.code() == code
            assert caught.value.details()
        assert answer(call(request([[1] * 4]), timeout=20)).model_name == "tiny"


def test_calls_in_flight_are_answered_when_the_server_stops(
    slow_models: Path, log_folder: Path, tmp_path: Path
) -> None:
    upstream = free_port()
    limits = {"MAX_BATCH_ROWS": 1, "MAX_WAIT_SECONDS": 30}
    with (
        ModelServer(slow_models, log_folder, GRPC_PORT=upstream, **limits) as server,
        gateway(tmp_path, upstream) as port,
        channel(port) as opened,
    ):
        call = opened.unary_unary(METHOD)
        data = request([[1] * 4], model="slow")
        call(data, timeout=20)
        calls = [call.future(data, timeout=30) for _ in range(10)]
        end = time.monotonic() + 20
        while server.metrics()["model_inflight"] < len(calls):
            assert time.monotonic() < end
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        codes = Counter(one.code() for one in calls)
        assert server.process.wait(20) == 0
    assert codes == {grpc.StatusCode.OK: len(calls)}
