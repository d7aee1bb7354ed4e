"""Deadlines of requests, and what a server refuses before it is too late."""

from __future__ import annotations

import asyncio
import concurrent.futures
import statistics
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.server.conftest import COLUMNS
from tests.support.model_server import ModelServer, request

pytestmark = pytest.mark.calm
BODY = request([1, 1, 1, 1], COLUMNS)
MODEL_SECONDS = 0.1


@pytest.mark.parametrize(
    "value", ["0", "-1", "1.5", "", "soon", "9999999999", "1e3", "٣"]
)
def test_deadlines_that_are_none(server: ModelServer, value: str) -> None:
    answer = server.client.post(
        "/infer", json=BODY, headers=[(b"x-request-timeout-ms", value.encode())]
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_timeout")


def test_a_deadline_that_is_kept(server: ModelServer) -> None:
    for value in ("5000", "999999999"):
        answer = server.client.post(
            "/infer", json=BODY, headers={"x-request-timeout-ms": value}
        )
        assert answer.status_code == 200


class SlowModel:
    """Stands for a model whose every run takes 0.1 s; notes the rows of its runs."""

    def __init__(self, inputs: tuple[Any, ...] = ()) -> None:
        self.runs: list[int] = []
        self.manifest = SimpleNamespace(inputs=inputs)

    def run(self, buffers: list[bytes]) -> list[Any]:
        import numpy as np

        rows = len(buffers[0]) // 4
        self.runs.append(rows)
        time.sleep(MODEL_SECONDS)
        return [np.frombuffer(buffers[0], "<f4")]


class Queue:
    """A batcher before a slow model, and the answers it gave by request."""

    def __init__(self, inputs: tuple[Any, ...] = (), **limits: Any) -> None:
        from model_server.batching import Batcher
        from model_server.metrics import ModelMetrics
        from model_server.run_time import RunTime

        values: dict[str, float] = {"max_batch_rows": 4, "max_queue_rows": 100}
        values |= {"max_queue_bytes": 2**20, "max_wait_seconds": 60}
        self.model: Any = SlowModel(inputs)
        self.answers: dict[str, Any] = {}
        self.batcher = Batcher(
            self.model,
            ModelMetrics({}, "1"),
            RunTime({1: MODEL_SECONDS, 4: MODEL_SECONDS}),
            **(values | limits),
        )

    def submit(self, name: str, rows: int = 1, within: float | None = None) -> str:
        """Queue rows; return the code of an error, or nothing."""
        from model_server.batching import Job
        from model_server.errors import RequestError
        from model_server.protocol import Inference

        now = time.monotonic()
        job = Job(
            None,
            inference=Inference(None, rows, [bytes(4 * rows)], None),
            request_id=name,
            respond=None,
            done=lambda job, result: self.answers.update({job.request_id: result}),
            transport_done=None,
            started_at=now,
            deadline=None if within is None else now + within,
            as_text=False,
        )
        try:
            self.batcher.submit(job)
        except RequestError as error:
            self.answers[name] = error
            return error.code
        return ""

    async def settle(self) -> None:
        """Wait until nothing is queued."""
        async with asyncio.timeout(10):
            while self.batcher.queued_rows:  # noqa: ASYNC110, it has no event
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("free", [False, True], ids=["fixed", "free"])
def test_the_bytes_of_what_waits_are_bounded(free: bool) -> None:
    """Rows of one model are of any size: their number alone bounds no memory."""
    from model_server.tensor import FREE, Tensor

    async def scenario() -> None:
        shape = (-1, FREE) if free else (-1, 1)
        inputs = (Tensor("X", "FP32", shape),)
        queue = Queue(inputs=inputs, max_queue_bytes=16)
        # One request may always wait, or it could never be answered.
        assert queue.submit("large", 6) == ""
        assert queue.submit("more") == "overloaded"
        await queue.settle()
        names = ["a", "b", "c", "d", "e"]
        assert [queue.submit(name) for name in names] == [""] * 4 + ["overloaded"]
        await queue.settle()
        assert queue.submit("again", 4) == ""
        await queue.settle()

    asyncio.run(scenario())


def test_what_waited_past_its_deadline_is_never_run() -> None:
    async def scenario() -> Queue:
        queue = Queue()
        assert queue.submit("first", 4) == ""
        await asyncio.sleep(0.01)
        # The estimate says that it will do; then the run takes twice as long.
        queue.batcher._pace.factor = 0.1
        assert queue.submit("late", 2, within=0.05) == ""
        assert queue.submit("patient", 1) == ""
        await queue.settle()
        return queue

    queue = asyncio.run(scenario())
    assert queue.model.runs == [4, 1]
    assert (queue.answers["late"].status, queue.answers["late"].code) == (
        504,
        "deadline_exceeded",
    )
    assert len(queue.answers["patient"].arrays[0]) == 1


def test_a_queue_of_late_ones_only_comes_to_rest() -> None:
    async def scenario() -> Queue:
        queue = Queue()
        queue.submit("gone", 1, within=-1)
        await queue.settle()
        assert queue.submit("next") == ""
        await queue.settle()
        return queue

    queue = asyncio.run(scenario())
    assert queue.answers["gone"].code == "deadline_exceeded"
    assert queue.model.runs == [1]


def test_a_deadline_that_the_queue_cannot_keep_is_refused_at_once() -> None:
    async def scenario() -> Queue:
        queue = Queue()
        queue.submit("first", 4)
        queue.submit("second", 4)
        await asyncio.sleep(0.01)
        # 0.2 s of runs before it and 0.1 s of its own.
        assert queue.submit("hasty", 1, within=0.2) == "overloaded"
        assert queue.submit("patient", 1, within=5) == ""
        await queue.settle()
        return queue

    queue = asyncio.run(scenario())
    assert "0.2" in queue.answers["hasty"].message or "0.3" in str(
        queue.answers["hasty"]
    )
    assert queue.model.runs == [4, 4, 1]


def test_an_idle_server_tries_whatever_the_deadline() -> None:
    """Else one slow run would have every later request refused, and nothing learned."""

    async def scenario() -> Queue:
        queue = Queue()
        queue.batcher._pace.factor = 1000
        assert queue.submit("only", 1, within=0.5) == ""
        await queue.settle()
        return queue

    queue = asyncio.run(scenario())
    assert len(queue.answers["only"].arrays[0]) == 1


def test_the_wait_is_bounded_beyond_the_next_run() -> None:
    async def scenario() -> Queue:
        queue = Queue(max_wait_seconds=0.15)
        queue.submit("running", 4)
        await asyncio.sleep(0.01)
        assert [queue.submit(f"next {number}") for number in range(4)] == [""] * 4
        # 0.09 s of the run and 0.1 s of the next: more than 0.15 s.
        assert queue.submit("over") == "overloaded"
        await asyncio.sleep(0.06)
        assert queue.submit("later") == ""
        await queue.settle()
        return queue

    queue = asyncio.run(scenario())
    error = queue.answers["over"]
    assert error.status == 503
    assert dict(error.headers)[b"retry-after"] == b"1"
    assert queue.model.runs == [4, 4, 1]


def test_a_wait_longer_than_a_second_is_reported() -> None:
    async def scenario() -> Queue:
        queue = Queue(max_wait_seconds=2)
        queue.batcher._pace.factor = 15
        queue.submit("first", 4)
        queue.submit("second", 4)
        queue.submit("third", 1)
        queue.batcher._pace.factor = 1
        await queue.settle()
        return queue

    queue = asyncio.run(scenario())
    assert dict(queue.answers["third"].headers)[b"retry-after"] == b"3"


def test_the_pace_follows_what_runs_take() -> None:
    from model_server.run_time import Pace, RunTime

    pace = Pace(RunTime({1: 0.01, 2: 0.01, 8: 0.04}), 8)
    assert pace.seconds(5) == pytest.approx(0.025)
    assert pace.seconds(20) == pytest.approx(0.04 + 0.04 + 0.02)
    for _ in range(40):
        pace.learn(8, 0.12)
    assert pace.seconds(8) == pytest.approx(0.12, rel=0.01)
    assert pace.seconds(0) == 0


def test_a_run_that_was_held_up_says_nothing_of_the_next() -> None:
    """A burst after it is not refused for a wait that nobody would have had."""
    from model_server.run_time import Pace, RunTime

    pace = Pace(RunTime({1: 0.0001, 64: 0.005}), 64)
    for _ in range(4):
        pace.learn(1, 0.5)
    assert pace.seconds(128) == pytest.approx(0.01)
    pace.learn(1, 0.5)  # five of nine: that is how long they take now
    assert pace.seconds(128) == pytest.approx(50)


def seconds_of_a_request(url: str) -> float:
    """The median of some requests, one after the other: a run of the model."""
    taken = []
    with httpx.Client(base_url=url, timeout=30) as client:
        for _ in range(25):
            started = time.monotonic()
            client.post("/infer", json=BODY).raise_for_status()
            taken.append(time.monotonic() - started)
    return statistics.median(taken)


def test_a_flood_of_requests_costs_little_and_nobody_waits_long(
    slow_models: Path, log_folder: Path
) -> None:
    """Five times as many clients as keep the model busy.

    Counted per CPU second of the server, since tests share their CPU with others. The
    longest wait is that for five runs, however fast the machine is: 40 clients are ten.
    """
    with ModelServer(slow_models, log_folder, MAX_BATCH_ROWS=4) as server:
        run_seconds = seconds_of_a_request(server.url)
    with ModelServer(
        slow_models, log_folder, MAX_BATCH_ROWS=4, MAX_WAIT_SECONDS=5 * run_seconds
    ) as server:
        limits = httpx.Limits(max_connections=60)
        with httpx.Client(base_url=server.url, timeout=30, limits=limits) as client:

            def ask(until: float) -> Counter[int]:
                found: Counter[int] = Counter()
                while time.monotonic() < until:
                    answer = client.post("/infer", json=BODY)
                    found[answer.status_code] += 1
                    if answer.status_code == 503:
                        time.sleep(0.1)
                return found

            def load(clients: int, seconds: float) -> tuple[Counter[int], Any]:
                before = server.metrics()
                end = time.monotonic() + seconds
                with concurrent.futures.ThreadPoolExecutor(clients) as pool:
                    found = sum(pool.map(ask, [end] * clients), Counter())
                after = server.metrics()
                return found, {name: after[name] - before[name] for name in after}

            load(8, 0.5)
            normal, usual = load(8, 1.5)
            heavy, busy = load(40, 1.5)
    cpu = "process_cpu_seconds_total"
    assert set(normal) == {200}
    assert set(heavy) == {200, 503}
    assert heavy[200] / busy[cpu] >= 0.7 * normal[200] / usual[cpu]
    waits = busy["model_queue_seconds_sum"] / busy["model_queue_seconds_count"]
    assert waits < 0.5
