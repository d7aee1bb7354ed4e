"""Three times the load that the server can bear, arriving whatever becomes of it.

The model's runs take a fixed time asleep in place of a processor's, so that what is
measured is what the server does and not what else the machine is doing. Requests arrive
at a constant rate and count as good if answered within a second of the time they were
meant for; the server is not told when a client gives up.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.load import generate
from slipway.bench import open_loop
from slipway.bench.open_loop import Bounds, Report, Target
from tests.server.conftest import COLUMNS
from tests.support.model_server import ModelServer, request

pytestmark = pytest.mark.calm
SLEEPING = """
import time
from model_server.model import Model
run = Model.run
Model.run = lambda *asked: (time.sleep(%s), run(*asked))[1]
"""
BODY = json.dumps(request([1, 2, 3, 4], COLUMNS)).encode()
MAX_WAIT_SECONDS = 0.25
PATIENCE_SECONDS = 1.0
OVERLOAD_SECONDS = 3.0
FACTOR = 3
ROUNDS = 3
RUN_SECONDS = 0.04
BATCH_ROWS = 4
CALLERS = 2 * BATCH_ROWS  # one batch runs, the next one waits
BOUNDS = Bounds(connections=900, timeout_seconds=PATIENCE_SECONDS, late_seconds=0.2)


@pytest.fixture(scope="module")
def start(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., ModelServer]:
    """Makes servers of which a model run takes `RUN_SECONDS`, whatever its rows."""
    patch = tmp_path_factory.mktemp("patch")
    (patch / "sitecustomize.py").write_text(SLEEPING % RUN_SECONDS)

    def make(**settings: object) -> ModelServer:
        log = tmp_path_factory.mktemp("overloaded") / "log"
        log.mkdir()
        server = ModelServer(models, log, MAX_BATCH_ROWS=BATCH_ROWS, **settings)
        path = server.environment["PYTHONPATH"]
        server.environment["PYTHONPATH"] = f"{patch}:{path}"
        return server

    return make


def capacity(server: ModelServer) -> float:
    """Requests per second that a few callers get, each asking when it has an answer."""
    found = generate(f"{server.url}/infer", BODY, CALLERS, 1)
    assert found.errors == 0
    return found.requests / found.seconds


def overload(server: ModelServer, rate: float) -> Report:
    target = Target(f"{server.url}/infer", (BODY,))
    return open_loop.run(target, open_loop.constant(rate, OVERLOAD_SECONDS), BOUNDS)


def useful(report: Report) -> float:
    """Good answers per second of the whole load."""
    return report.good / max(report.last_good, OVERLOAD_SECONDS)


@pytest.fixture(scope="module")
def unbounded(start: Callable[..., ModelServer]) -> Iterator[ModelServer]:
    """The control: the same server but for a queue that takes everything."""
    with start(MAX_WAIT_SECONDS=3600, MAX_QUEUE_ROWS=2**20) as server:
        yield server


def test_a_bounded_wait_keeps_the_goodput(
    start: Callable[..., ModelServer], unbounded: ModelServer
) -> None:
    with start(MAX_WAIT_SECONDS=MAX_WAIT_SECONDS) as server:
        before = capacity(unbounded)
        shares, slowest = [], []
        for _ in range(ROUNDS):
            report = overload(server, FACTOR * before)
            assert set(report.outcomes) == {"200", "503"}, report.outcomes
            after = capacity(unbounded)
            shares.append(useful(report) / statistics.mean([before, after]))
            slowest.append(report.percentile(0.99))
            before = after
        counted = server.metrics()
    assert statistics.median(shares) >= 0.9, shares
    # What is taken waits for the bound, the run under way and its own.
    allowed = MAX_WAIT_SECONDS + 2 * RUN_SECONDS
    assert statistics.median(slowest) <= 1.5 * allowed, slowest
    assert counted["model_inflight"] == 0


def test_without_the_bound_all_wait_and_few_are_served_in_time(
    unbounded: ModelServer,
) -> None:
    before = capacity(unbounded)
    report = overload(unbounded, FACTOR * before)
    assert useful(report) / before < 0.7, report.outcomes
    assert report.outcomes["Timeout"] > report.good
    assert report.percentile(0.99) > 2 * MAX_WAIT_SECONDS
