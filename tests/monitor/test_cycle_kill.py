"""A cycle that is killed at any point leaves what the next one makes whole."""

from __future__ import annotations

import datetime as dt
import json
import random
import shutil
import time
from pathlib import Path

import pytest
from model_monitor.config import Config, Fairness, Model
from model_monitor.cycle import Cycle
from model_monitor.labels import import_labels
from model_monitor.store import Store

from tests.support import kills

POINTS = 17
TIMES = 3
MODEL = Model("m", label_horizon_days=1, fairness=Fairness(("sex",), min_group=10))
FIRST = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_log(store: Store) -> None:
    """Files of predictions and of protected attributes, as shipped, and of labels."""
    chance = random.Random(4)
    labels = []
    for file in range(2):
        predictions, protected = [], []
        for number in range(150):
            moment = FIRST + dt.timedelta(days=number % 2, seconds=file * 7000 + number)
            score = round(chance.random(), 4)
            common = {
                "id": f"{file}-{number}",
                "row": 0,
                "time": text(moment),
                "model": "m",
                "revision": chance.choice(["r1", "r2"]),
            }
            predictions.append(
                common
                | {
                    "version": "1",
                    "arm": "stable",
                    "status": 200,
                    "latency_seconds": 0.25,
                    "features": {"age": number % 90},
                    "decision": int(score > 0.5),
                    "score": score,
                }
            )
            attributes = {"attributes": {"sex": chance.choice("fm")}}
            protected.append(common | attributes)
            labels.append(
                {
                    "id": common["id"],
                    "label": int(chance.random() < score),
                    "label_time": text(moment + dt.timedelta(days=2)),
                    "source": "test",
                }
            )
        for kind, lines in (("predictions", predictions), ("protected", protected)):
            path = store.landing / f"{kind}-host-2026-1-{file}.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for part in range(2):
        path = store.root.parent / f"labels-{part}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in labels[part::2]))
        import_labels(store, path)


def run(root: Path) -> None:
    with Store(root).opened() as store:
        Cycle(Config(root, (MODEL,), clock="event"), store).run()


def content(root: Path) -> dict[str, bytes]:
    """Counts and results, and the names and sizes of all that they are made of."""
    whole = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("counts", "results")
        for path in sorted((root / folder).rglob("*.json"))
    }
    return whole | {
        path.relative_to(root).as_posix(): str(path.stat().st_size).encode()
        for folder in ("landing", "predictions", "protected", "labels", "quarantine")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and "/." not in path.as_posix()
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which everything has come and no cycle has run."""
    root = tmp_path_factory.mktemp("kill") / "store"
    with Store(root).opened() as store:
        write_log(store)
    return root


@pytest.fixture(scope="module")
def undisturbed(prepared: Path) -> tuple[dict[str, bytes], int, float]:
    """What a cycle makes that nobody kills, its steps and seconds."""
    # What a first cycle reads once for the process is not a step of those of children.
    root = prepared.parent / "first"
    shutil.copytree(prepared, root)
    run(root)
    root = prepared.parent / "undisturbed"
    shutil.copytree(prepared, root)
    started = time.monotonic()
    status, steps = kills.run_until(lambda: run(root))
    seconds = time.monotonic() - started
    assert status == 0
    found = content(root)
    assert sum(name.startswith("counts/") for name in found) == 2
    assert not any(name.startswith("landing/") for name in found)
    counts = json.loads(found["counts/model=m/date=2026-11-02.json"])
    assert sum(it["counts"]["labelled"] for it in counts["segments"]) == 150
    return found, steps, seconds


@pytest.mark.parametrize("number", range(POINTS))
def test_killed_at_a_step_on_files(
    prepared: Path, undisturbed: tuple[dict[str, bytes], int, float], number: int
) -> None:
    expected, steps, _ = undisturbed
    point = kills.point_of(number, POINTS, steps)
    root = prepared.parent / f"point-{number}"
    shutil.copytree(prepared, root)
    status, _ = kills.run_until(lambda: run(root), point)
    assert kills.is_killed(status), f"point {point} of {steps}"
    run(root)
    assert content(root) == expected
    shutil.rmtree(root)


@pytest.mark.parametrize("number", range(TIMES))
def test_killed_at_any_time_and_again(
    prepared: Path, undisturbed: tuple[dict[str, bytes], int, float], number: int
) -> None:
    expected, _, seconds = undisturbed
    root = prepared.parent / f"time-{number}"
    shutil.copytree(prepared, root)
    kills.kill_twice(lambda: run(root), seconds, seed=number)
    run(root)
    assert content(root) == expected
    shutil.rmtree(root)


def test_the_comparison_notices_a_cohort_that_was_not_counted_again(
    prepared: Path, undisturbed: tuple[dict[str, bytes], int, float]
) -> None:
    expected, _, _ = undisturbed
    root = prepared.parent / "undisturbed"
    path = root / "counts/model=m/date=2026-11-02.json"
    whole = path.read_text()
    path.write_text(whole.replace('"answered": ', '"answered": 1', 1))
    assert content(root) != expected
    path.write_text(whole)
    assert content(root) == expected
