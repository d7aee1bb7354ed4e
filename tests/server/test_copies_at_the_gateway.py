"""Copies through a real Envoy: both answers in the log, and nobody waits for a copy.

The filters are those of the rendered route with the controller's mirror. That Envoy
Gateway makes of them what stands here was read in its source (v1.9.0,
internal/xds/translator/route.go), not run.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from rollout import objects
from rollout.actions import WriteRoute

from components.delivery.rollout_file import ANSWERS, COMPLETED
from slipway.cli import cli
from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_prediction_log import records
from tests.server.test_streams_at_the_gateway import free_port, program
from tests.support.kube import wait_until
from tests.support.model_server import ModelServer, request
from tests.unit.test_shadow_stack import rendered

STABLE, CANARY = "champion", "challenger"
ROUTE = "httproute/models/employment-traffic/rule/0"
IDLE = "a revision that gets nothing"
CLUSTERS = {
    STABLE: f"{ROUTE}/backend/0",
    CANARY: f"{ROUTE}-mirror-2",
    IDLE: f"{ROUTE}/backend/1",
}
TYPE = "type.googleapis.com/envoy.extensions.filters."
REQUESTS = 20


def rule(percent: int) -> dict[str, Any]:
    """The first weighted rule of the stack's route with so many copies."""
    found = rendered()
    settings, places = objects.read_settings(found["ConfigMap", "rollout-employment"])
    rules = json.loads(found["ConfigMap", "rollout-employment"]["data"]["rules.json"])
    route = found["HTTPRoute", "employment-traffic"]
    route["metadata"]["resourceVersion"] = "1"
    write = WriteRoute("1", settings.weights(0), mirrors={settings.canary: percent})
    one: dict[str, Any] = objects.with_route(route, write, places, rules)["spec"][
        "rules"
    ][0]
    return one


def headers(filters: list[dict[str, Any]]) -> dict[str, Any]:
    (changes,) = (
        it["requestHeaderModifier"]
        for it in filters
        if it["type"] == "RequestHeaderModifier"
    )
    added = [
        {
            "header": {"key": it["name"], "value": it["value"]},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
        for it in changes.get("set", [])
    ]
    removed = changes.get("remove", [])
    return {"request_headers_to_add": added, "request_headers_to_remove": removed}


def configuration(percent: int, ports: dict[str, int], port: int, admin: int) -> Any:
    one = rule(percent)
    (mirror,) = (it["requestMirror"] for it in one["filters"] if "requestMirror" in it)
    stable = one["backendRefs"][0]
    weighted = {"name": CLUSTERS[STABLE], "weight": stable["weight"]}
    share = {"numerator": mirror["percent"], "denominator": "HUNDRED"}
    route = {
        "match": {"prefix": "/"},
        "route": {
            "weighted_clusters": {"clusters": [weighted | headers(stable["filters"])]},
            "request_mirror_policies": [
                {
                    "cluster": CLUSTERS[CANARY],
                    "runtime_fraction": {"default_value": share},
                    "disable_shadow_host_suffix_append": True,
                }
            ],
            "timeout": "5s",
        },
        **headers(one["filters"]),
    }
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{TYPE}network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "shadow",
            "use_remote_address": True,
            "preserve_external_request_id": True,
            "route_config": {
                "virtual_hosts": [{"name": "x", "domains": ["*"], "routes": [route]}]
            },
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{TYPE}http.router.v3.Router"},
                }
            ],
        },
    }
    clusters = [
        {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [
                    {"lb_endpoints": [{"endpoint": address(ports.get(arm, 1))}]}
                ],
            },
        }
        for arm, name in CLUSTERS.items()
    ]
    listener = address(port) | {"filter_chains": [{"filters": [manager]}]}
    return {
        "admin": address(admin),
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def address(port: int) -> dict[str, Any]:
    place = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"address": place}


@dataclass
class Gateway:
    client: httpx.Client
    admin: str

    def ask(self, name: str, rows: Any) -> httpx.Response:
        body = request(rows.ravel().tolist(), COLUMNS)
        found = self.client.post("/infer", json=body, headers={"x-request-id": name})
        assert found.status_code == 200
        assert found.headers["x-model-revision"] == STABLE
        return found

    def counted(self, metric: str, arm: str) -> int:
        """Of the cluster of a revision, all series together."""
        return sum(self.series(metric, arm))

    def series(self, metric: str, arm: str) -> list[int]:
        text = httpx.get(f"{self.admin}/stats/prometheus").text
        label = re.escape(f'envoy_cluster_name="{CLUSTERS[arm]}"')
        found = re.findall(
            rf"^{metric}{{[^}}]*{label}[^}}]*}} (\d+)$", text, re.MULTILINE
        )
        return [*map(int, found)]


@pytest.fixture
def both(models: Path, tmp_path: Path) -> Iterator[dict[str, ModelServer]]:
    found = {}
    for name in (STABLE, CANARY):
        log = tmp_path / name
        log.mkdir()
        found[name] = ModelServer(models, log, REVISION=name)
    with found[STABLE], found[CANARY]:
        yield found


@pytest.fixture
def gateway(both: dict[str, ModelServer], tmp_path: Path) -> Iterator[Gateway]:
    port, admin = free_port(), free_port()
    ports = {name: server.port for name, server in both.items()}
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(configuration(100, ports, port, admin)))
    with (tmp_path / "envoy.log").open("w") as log:
        process = subprocess.Popen(
            [program(), "--config-path", str(file), "--concurrency", "1"]
            + ["--use-dynamic-base-id", "--log-level", "warning"],
            stdout=log,
            stderr=log,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as it:
                found = Gateway(it, f"http://127.0.0.1:{admin}")
                wait_until(lambda: is_up(found, process, tmp_path), 60, "Envoy")
                yield found
        finally:
            process.terminate()
            process.wait(30)


def is_up(found: Gateway, process: Any, folder: Path) -> bool:
    assert process.poll() is None, (folder / "envoy.log").read_text()
    try:
        return found.client.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_both_answers_are_in_the_log(
    gateway: Gateway, both: dict[str, ModelServer], tiny: Tiny, tmp_path: Path
) -> None:
    before = gateway.counted(ANSWERS, CANARY)
    for number in range(REQUESTS):
        gateway.ask(f"request-{number}", tiny.rows[number])
    wanted = before + REQUESTS
    wait_until(lambda: gateway.counted(ANSWERS, CANARY) == wanted, 20, "all copies")
    for arm in both:
        assert gateway.counted(COMPLETED, arm) == gateway.counted(ANSWERS, arm)
    # So an interval without requests is not taken for one that was not scraped.
    assert (gateway.series(COMPLETED, IDLE), gateway.series(ANSWERS, IDLE)) == ([0], [])
    # What the gates count is there for copies, too.
    times = "envoy_cluster_upstream_rq_time_count"
    for arm in both:  # histograms come at the next flush
        wait_until(lambda arm=arm: gateway.counted(times, arm) >= REQUESTS, 20, arm)
    for server in both.values():
        assert server.stop() == 0
    stable, canary = records(tmp_path / STABLE), records(tmp_path / CANARY)
    assert {it["arm"] for it in stable} == {"stable"}
    assert {it["arm"] for it in canary} == {"shadow"}
    ids = {f"request-{number}" for number in range(REQUESTS)}
    assert {it["id"] for it in stable} == {it["id"] for it in canary} == ids
    whole = tmp_path / "whole"
    whole.mkdir()
    for name in (STABLE, CANARY):
        for file in (tmp_path / name).glob("predictions-*.jsonl"):
            file.rename(whole / file.name)
    arguments = ["replay", str(whole), "tiny", "--revision", CANARY, "--recorded"]
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    comparison = json.loads(done.output)["comparison"]
    assert comparison["pairs"] == REQUESTS
    assert comparison["scores"]["most"] == 0.0


def test_nobody_waits_for_a_copy(
    gateway: Gateway, both: dict[str, ModelServer], tiny: Tiny
) -> None:
    """The new revision stands still, and then it is gone."""
    gateway.ask("first", tiny.rows[0])
    both[CANARY].process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        for number in range(REQUESTS):
            gateway.ask(f"still-{number}", tiny.rows[number])
        assert time.monotonic() - started < 4, "a copy's time limit is 5 s"
    finally:
        both[CANARY].process.kill()
        both[CANARY].process.wait()
    for number in range(REQUESTS):
        gateway.ask(f"gone-{number}", tiny.rows[number])
