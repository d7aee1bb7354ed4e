"""The waker's ports: one for each model, one for probes and metrics."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.contracts import contract
from tests.support.prometheus_text import kinds, samples
from tests.unit.test_waker_cluster import MODEL
from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "waker"))

from waker.cluster import Cluster, Found
from waker.connections import Bound
from waker.keeper import Keeper
from waker.kept import Kept
from waker.proxy import Proxy
from waker.settings import METRICS_PORT
from waker.web import Application


class Recorded:
    """Stands for the proxy."""

    def __init__(self) -> None:
        self.models: list[str] = []

    async def __call__(self, kept: Kept, _: Any, __: Any, send: Any) -> None:
        self.models.append(kept.model.name)
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def keeper() -> Keeper:
    return Keeper(cast("Cluster", None), [MODEL])


def ask(keeper: Keeper, path: str, port: int = METRICS_PORT) -> httpx.Response:
    async def run() -> httpx.Response:
        application = Application(keeper, cast("Proxy", Recorded()), Bound(0))
        transport = httpx.ASGITransport(cast("Any", application))
        base = f"http://waker:{port}"
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.get(path)

    return asyncio.run(run())


def test_a_models_port_leads_to_the_model(keeper: Keeper) -> None:
    assert ask(keeper, "/metrics", MODEL.port).status_code == 418
    assert ask(keeper, "/metrics", MODEL.port + 1).status_code == 404


def test_probes(keeper: Keeper) -> None:
    assert ask(keeper, "/livez").status_code == 200
    assert ask(keeper, "/readyz").status_code == 503
    keeper.rounds, keeper.looked_at = 1, time.monotonic()
    assert ask(keeper, "/readyz").status_code == 200
    assert ask(keeper, "/other").status_code == 404


def test_metrics_are_those_that_alerts_and_docs_name(keeper: Keeper) -> None:
    (kept,) = keeper.kept.values()
    kept.see(Found(0, set(), covered=True), 0)
    kept.counts.update({"wakes": 2, "bytes": 3, "200": 4, "418": 5})
    kept.wake_seconds = 1.5
    keeper.errors = 6
    kept.buffer.hold(0, 1)
    answer = ask(keeper, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert samples(answer.text) == {
        ("waker_errors_total",): 6,
        ("waker_connections_closed_total",): 0,
        ("waker_asleep", "m"): 1,
        ("waker_held", "m"): 1,
        ("waker_wakes_total", "m"): 2,
        ("waker_wake_seconds_total", "m"): 1.5,
        ("waker_refused_total", "bytes", "m"): 3,
        ("waker_refused_total", "requests", "m"): 0,
        ("waker_refused_total", "time", "m"): 0,
        ("waker_refused_total", "body", "m"): 0,
        ("waker_forwarded_total", "200", "m"): 4,
        ("waker_forwarded_total", "418", "m"): 5,
    }
    assert kinds(answer.text) == {
        name.removesuffix("_total"): metric["kind"]
        for name, metric in contract("waker_metrics")["metrics"].items()
    }
    assert {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    } == {
        name: set(metric["labels"])
        for name, metric in contract("waker_metrics")["metrics"].items()
    }
