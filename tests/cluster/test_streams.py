"""Answers in pieces, through the cluster's gateway: whole, cut and standing still.

All three at once, for the longest takes 40 s. Their models differ in the limits alone.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from examples.demo_rollout.lab_stack import SMALL
from tests.cluster.conftest import Cluster
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack

PIECES, IDLE, SHORT = 40, 5, 6
CODES = ("AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC") + (
    "NATIVITY",
    "DEAR",
    "DEYE",
    "DREM",
    "SEX",
    "RAC1P",
)
LIMITS: dict[str, dict[str, Any]] = {
    "streams-flow": {
        "lifecycle": {
            "longest_request_seconds": 60,
            "stream_idle_seconds": IDLE,
            "drain_seconds": 60,
            "grace_seconds": 75,
        },
        "alerts": {"p99_milliseconds": 50_000, "queue_p99_milliseconds": 5000},
    },
    "streams-short": {"lifecycle": {"longest_request_seconds": SHORT}},
}


@dataclass(frozen=True)
class Answer:
    status: int
    pieces: int
    seconds: float
    longest_gap: float


def ask(url: str, pieces: int, pause: float) -> Answer:
    resident = dict.fromkeys(CODES, 1)
    started = last = time.monotonic()
    came, gap = 0, 0.0
    with httpx.stream(
        "POST", f"{url}?pause_seconds={pause}", json=[resident] * pieces, timeout=90
    ) as answer:
        try:
            for line in answer.iter_lines():
                now = time.monotonic()
                came, gap, last = came + bool(line), max(gap, now - last), now
        except httpx.RemoteProtocolError:
            pass
        return Answer(answer.status_code, came, time.monotonic() - started, gap)


@pytest.fixture(scope="module")
def answers(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Answer]]:
    """Of three callers at the same time."""
    root = tmp_path_factory.mktemp("streams")
    stack = OwnStack("models.streams", root)
    models = {
        name: {
            **SMALL,
            "model": "employment",
            "model_image": "employment",
            "image": "example-fastapi",
            "runtime": {"kind": "fastapi", "paths": ["/scores"]},
            "route": {"prefix": f"/{name}/v1"},
            **limits,
        }
        for name, limits in LIMITS.items()
    }
    try:
        stack.up(models=models)
        urls = {x: f"{cluster.urls['gateway']}/{x}/v1/scores" for x in LIMITS}
        for url in urls.values():
            wait_until(lambda url=url: ask(url, 1, 0).status == 200, 30, url, 0.2)
        asked = {
            "flows": (urls["streams-flow"], PIECES, 1.0),
            "stands still": (urls["streams-flow"], 2, 30.0),
            "cut": (urls["streams-short"], PIECES, 1.0),
        }
        with ThreadPoolExecutor(len(asked)) as pool:
            found = {name: pool.submit(ask, *how) for name, how in asked.items()}
            # While the first one flows: others' alerts are about the whole gateway.
            for _ in range(3):
                pool.submit(ask, urls["streams-short"], PIECES, 1.0)
            yield {name: one.result() for name, one in found.items()}
    finally:
        stack.down()
        shutil.rmtree(root)


def test_a_chunk_a_second_for_40_seconds_arrives_whole(
    answers: dict[str, Answer],
) -> None:
    found = answers["flows"]
    assert (found.status, found.pieces) == (200, PIECES)
    assert found.seconds >= PIECES - 1
    # In pieces, not at the end.
    assert found.longest_gap < IDLE


def test_what_stands_still_is_given_up(answers: dict[str, Answer]) -> None:
    found = answers["stands still"]
    assert (found.status, found.pieces) == (200, 1)
    assert IDLE - 1 < found.seconds < 20


def test_a_whole_answers_limit_cuts_it_and_the_gateway_counts_it(
    answers: dict[str, Answer], cluster: Cluster
) -> None:
    found = answers["cut"]
    assert found.status == 200
    assert 1 <= found.pieces < PIECES
    assert found.seconds < SHORT + 5
    query = (
        "sum(envoy_cluster_upstream_rq_timeout"
        '{envoy_cluster_name=~"httproute/models/streams-short/.*"})'
    )

    def counted() -> float:
        answer = httpx.get(
            cluster.urls["prometheus"] + "/api/v1/query", params={"query": query}
        )
        values = answer.json()["data"]["result"]
        return float(values[0]["value"][1]) if values else 0

    assert wait_until(counted, 30, "the cut answers counted") >= 1
