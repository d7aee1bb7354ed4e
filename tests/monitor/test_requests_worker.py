"""A running monitor looks for requests while it rests between two cycles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from model_monitor.cycle import Cycle, CycleResult
from model_monitor.metrics import CycleState
from model_monitor.receiver import Counters
from model_monitor.requests import Inbox, Kind, Request
from model_monitor.store import Store
from model_monitor.worker import Worker
from prometheus_client import CollectorRegistry

from tests.support.monitor_requests import config, late_labels

PATIENCE_SECONDS = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


@pytest.fixture
def state() -> CycleState:
    return CycleState()


@pytest.fixture
def worker(store: Store, state: CycleState) -> Iterator[Worker]:
    """Of a monitor that does a cycle a day."""
    settings = replace(config(store.root), cycle_seconds=86_400)
    found = Worker(settings, store, state, Counters(CollectorRegistry()))
    yield found
    found.stop()


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"not so within {PATIENCE_SECONDS} s"
        time.sleep(0.01)


def ask(store: Store) -> str:
    path = late_labels(store.root.parent)
    request = Request.new(Kind.IMPORT_LABELS, {}, "ann", (str(path),))
    Inbox(store).submit(request)
    return request.id


def test_a_request_does_not_wait_for_the_next_cycle(
    store: Store, state: CycleState, worker: Worker
) -> None:
    worker.start(lambda: None)
    wait_for(lambda: state.ended)
    name = ask(store)
    wait_for(lambda: Inbox(store).answer(name))


def test_nor_does_one_that_comes_while_a_cycle_ends(
    store: Store, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, names = Cycle.run, list[str]()

    def then_ask(cycle: Cycle) -> CycleResult:
        result = run(cycle)
        if not names:
            names.append(ask(store))
        return result

    monkeypatch.setattr(Cycle, "run", then_ask)
    worker.start(lambda: None)
    wait_for(lambda: names and Inbox(store).answer(names[0]))


def test_one_that_cannot_be_answered_is_not_tried_without_end(
    store: Store, state: CycleState, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: Cycle) -> CycleResult:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Cycle, "run", failing)
    monkeypatch.setattr("model_monitor.worker.LOOK_SECONDS", 0.01)
    ask(store)
    worker.start(lambda: None)
    wait_for(lambda: state.failures)
    ask(store)
    wait_for(lambda: state.failures == 2)
    time.sleep(0.2)
    assert state.failures == 2
