"""A monitor that is killed asks for retraining just once, and asks."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from model_monitor import thresholds
from model_monitor.config import Config
from model_monitor.cycle import Cycle
from model_monitor.retraining import stored
from model_monitor.store import Store, whole_files

from tests.monitor.test_retraining_requests import (
    FIRST,
    MODEL,
    contents,
    noted,
    of,
    requests,
)
from tests.support import kills
from tests.support.monitor_cohorts import days
from tests.support.monitor_logs import Label, Row, put_labels, put_predictions


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


STEPS = "retraining|chain"
"""On whose files a step counts."""


def is_requested_once(store: Store) -> bool:
    """Whether there is one request, whole and noted once."""
    return (
        len(contents(store)) == len(noted(store)) == 1
        and all(it.state for it in stored.read_all(store))
        and not list((store.root / "retraining").glob(".*"))
    )


def test_killed_at_every_step_it_is_requested_just_once(store: Store) -> None:
    found = of("bad")

    def clear() -> None:
        shutil.rmtree(store.root / "retraining", ignore_errors=True)
        store.chain.unlink(missing_ok=True)

    status, steps = kills.run_until(lambda: requests(store).judged(found), path=STEPS)
    assert status == 0
    assert is_requested_once(store)
    assert steps > 5
    for point in range(1, steps + 1):
        clear()
        status, _ = kills.run_until(lambda: requests(store).judged(found), point, STEPS)
        assert kills.is_killed(status), point
        whole_files.clear_leftovers(store.root)
        requests(store).judged(found)
        assert is_requested_once(store), point


def whole_cycle(root: Path) -> None:
    model = replace(MODEL, min_labels=30)
    with Store(root).opened() as store:
        Cycle(Config(root, (model,), clock="event"), store).run()


def test_a_cycle_killed_before_its_request_makes_it_the_next_time(
    tmp_path: Path,
) -> None:
    root = tmp_path / "store"
    moments = [dt.datetime.combine(it, dt.time(12), dt.UTC) for it in days(FIRST, 7)]
    with Store(root).opened() as store:
        rows = [
            Row(f"{moment:%d}-{number}", moment, decision="1")
            for moment in (moments[0], moments[-1])
            for number in range(60)
        ]
        put_predictions(store, "p", rows, "m")
        put_labels(
            store,
            "l",
            [Label(it.id, "0", moments[-1], it.time.date()) for it in rows],
            "m",
        )
        # The thresholds' entry first, so that the first step is that of a request.
        thresholds.note(store.chain, [replace(MODEL, min_labels=30)])
    status, _ = kills.run_until(lambda: whole_cycle(root), 3, STEPS)
    assert kills.is_killed(status)
    assert (root / "results" / "m.json").exists()
    assert contents(Store(root)) == []
    whole_cycle(root)
    assert is_requested_once(Store(root))
