"""A monitor that is killed at any point is repaired by the next run."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.store import Store, ingest, whole_files

from tests.support import kills
from tests.support.monitor_records import NOW, land, prediction, protected, tree

KILLS = 20
FILES = 2


def fill(store: Store) -> None:
    """Files of several parts, with bad lines, and one that is cut short."""
    for number in range(FILES):
        records: list[Any] = [
            prediction(
                id=f"{number}-{n}",
                time=f"2026-11-29T{9 + n % 3:02}:00:00Z",
                features={"a": n, "b": "x" if n % 7 == 0 else n},
            )
            for n in range(60)
        ]
        land(
            store, [*records, b"bad", *records[:5]], f"predictions-h-{number}.jsonl.gz"
        )
    land(store, [protected(id=str(n)) for n in range(60)], "protected-h-1.jsonl.gz")
    cut = land(store, [prediction(id=f"cut-{n}") for n in range(200)])
    cut.write_bytes(cut.read_bytes()[:500])


def take(store: Store) -> None:
    ingest(store, now=lambda: NOW)


def content(store: Store) -> dict[str, bytes]:
    """All that must be the same: everything but the time of kills."""
    return {
        path: gzip.decompress(found) if path.startswith("quarantine/labels") else found
        for path, found in tree(store.root).items()
        if not path.startswith((".lock", "audit/")) and "/.tmp-" not in f"/{path}"
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled") / "store"
    with Store(root).opened() as store:
        fill(store)
    return root


@pytest.fixture(scope="module")
def undisturbed(
    filled: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    """What a run leaves that nobody kills, and how long it takes."""
    root = tmp_path_factory.mktemp("undisturbed") / "store"
    shutil.copytree(filled, root)
    with Store(root).opened() as store:
        started = time.monotonic()
        assert kills.wait(kills.start(lambda: take(store))) == 0
        seconds = time.monotonic() - started
        return content(store), seconds


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copytree(filled, tmp_path / "store")
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def repaired(store: Store) -> dict[str, bytes]:
    """What the next start makes of it."""
    whole_files.clear_leftovers(store.root)
    take(store)
    return content(store)


def test_the_undisturbed_run_has_all_kinds_of_files(
    undisturbed: tuple[dict[str, bytes], float],
) -> None:
    folders = {path.partition("/")[0] for path in undisturbed[0]}
    assert folders == {"predictions", "protected", "quarantine", "landing"}
    kept = [path for path in undisturbed[0] if path.startswith("predictions/")]
    assert len(kept) == 3 * FILES + 1


@pytest.mark.parametrize("kill", range(KILLS))
def test_kill_9_at_a_random_moment(
    kill: int, store: Store, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    expected, seconds = undisturbed
    child = kills.start(lambda: take(store))
    time.sleep(random.Random(kill).uniform(0, seconds))
    os.kill(child, signal.SIGKILL)
    kills.wait(child)
    assert repaired(store) == expected


@pytest.mark.parametrize("step", range(1, 40, 4))
def test_kill_9_before_a_step_that_lasts(
    step: int, store: Store, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    """Each wait for the disk is such a step; a random moment rarely meets one."""

    def take_some() -> None:
        steps = 0
        sync = whole_files.sync

        def counted(path: Path) -> None:
            nonlocal steps
            steps += 1
            if steps == step:
                kills.die()
            sync(path)

        whole_files.sync = counted
        take(store)

    status = kills.wait(kills.start(take_some))
    assert kills.is_killed(status), "the run has fewer steps"
    assert repaired(store) == undisturbed[0]
