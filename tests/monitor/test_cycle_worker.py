"""The thread of cycles: whatever one raises, the next one is done."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_monitor.config import Config, Model
from model_monitor.cycle import Cycle, CycleResult
from model_monitor.metrics import CycleState
from model_monitor.receiver import Counters
from model_monitor.store import Store
from model_monitor.worker import Worker
from prometheus_client import CollectorRegistry

PATIENCE_SECONDS = 20.0
NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


@pytest.fixture
def state() -> CycleState:
    return CycleState()


@pytest.fixture
def worker(store: Store, state: CycleState) -> Iterator[Worker]:
    config = Config(store.root, (Model("m"),), cycle_seconds=0.01)
    found = Worker(config, store, state, Counters(CollectorRegistry()))
    yield found
    found.stop()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"not so within {PATIENCE_SECONDS} s"
        time.sleep(0.005)


@pytest.mark.parametrize("error", [OverflowError, ValueError, OSError, MemoryError])
def test_no_exception_of_a_cycle_ends_the_thread(
    error: type[Exception],
    worker: Worker,
    state: CycleState,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_broken, ends = True, list[str]()

    def run(_: Cycle) -> CycleResult:
        if is_broken:
            raise error("beyond the calendar")
        return CycleResult(NOW)

    monkeypatch.setattr(Cycle, "run", run)
    worker.start(lambda: ends.append("ended"))
    wait_for(lambda: state.failures >= 2 or not worker.is_alive)
    assert worker.is_alive
    assert ends == []
    failure = caplog.records[0]
    assert failure.getMessage() == "the cycle failed"
    assert failure.exc_info is not None
    assert failure.exc_info[0] is error
    is_broken = False
    wait_for(lambda: not state.failures)
    assert state.ended


def test_a_quarantine_that_is_gone_is_a_failure(
    store: Store,
    worker: Worker,
    state: CycleState,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Cycle, "run", lambda _: CycleResult(NOW))
    store.quarantine.rmdir()
    worker.start(lambda: None)
    wait_for(lambda: state.failures >= 1 or not worker.is_alive)
    assert worker.is_alive
    store.quarantine.mkdir()
    (store.quarantine / "l.jsonl.gz.reason.json").write_text("{}")
    wait_for(lambda: state.quarantined == 1)
    assert state.failures == 0
