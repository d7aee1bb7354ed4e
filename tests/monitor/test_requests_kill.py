"""A request is carried out once, whenever the process that does it is killed."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from model_monitor.audit import verify
from model_monitor.cycle import Cycle
from model_monitor.requests import Inbox
from model_monitor.requests.journal import Journal
from model_monitor.store import Store

from tests.support import kills
from tests.support.monitor_requests import MEMBER, config, filled, submit

POINTS = 14
TIMES = 2


def run(root: Path) -> None:
    with Store(root).opened() as store:
        Cycle(config(root), store).run()


def answers(root: Path) -> dict[str, Any]:
    """The answers, without times, durations and digests of labels: these have times."""
    found = {}
    for path in sorted((root / "requests").glob("*.answer.json")):
        answer = json.loads(path.read_text().replace(str(root), "STORE"))
        del answer["answered"]
        details = answer["details"]
        details.pop("time", None)
        if receipt := details.get("rows"):
            assert json.loads("\n".join(answer.pop("output")))["rows"] == receipt
            for it in details["files"]:
                if it["path"].startswith("labels/"):
                    del it["before"], it["after"]
        else:
            # Of the pass: after a kill there may be less left to count.
            text = "\n".join(answer.pop("output"))
            details["output"] = re.sub(r"\d+ days of.* s\n", "", text)
        found[path.name] = answer
    return found


def labels(root: Path) -> list[Any]:
    """All labels that are kept, without the time when they came."""
    read = "select * exclude (received) from read_parquet(?, filename = true)"
    files = str(root / "labels/[dp]*/**/*.parquet")
    rows = duckdb.sql(f"{read} order by all", params=[files]).fetchall()
    return [[str(it).replace(str(root), "") for it in row] for row in rows]


def counts(path: Path) -> dict[str, Any]:
    """Counts without the sizes of the files that they were computed from."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found | {"files": sorted(found["files"])}


def content(root: Path) -> dict[str, Any]:
    """All that must be the same: answers, counts, results and what they are made of."""
    found: dict[str, Any] = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("results", "predictions", "protected")
        for path in sorted((root / folder).rglob("*.*"))
        if path.is_file()
    }
    found |= {
        path.relative_to(root).as_posix(): counts(path)
        for path in (root / "counts").rglob("*.json")
    }
    chain = root / "audit/chain.jsonl"
    assert verify(chain).is_intact
    audited = Counter(
        (it["action"], it["details"].get("request", it["details"].get("name")))
        for it in map(json.loads, chain.read_text().splitlines())
        if it["action"] in {"erased", "backfilled", "labels_imported", "quarantined"}
    )
    names = sorted(
        path.name
        for path in (root / "requests").iterdir()
        if not path.name.startswith(".")
    )
    return found | {
        "answers": answers(root),
        "audited": audited,
        "labels": labels(root),
        "requests": names,
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is counted, with three requests that wait."""
    root = tmp_path_factory.mktemp("requests") / "store"
    filled(root)
    submit(Store(root), root.parent)
    return root


@pytest.fixture(scope="module")
def undisturbed(prepared: Path) -> tuple[dict[str, Any], int, float]:
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
    return content(root), steps, seconds


def test_the_undisturbed_run_does_what_was_asked(
    prepared: Path, undisturbed: tuple[dict[str, Any], int, float]
) -> None:
    found = undisturbed[0]
    labels, erasure, past = found["answers"].values()
    assert labels["status"] == "done"
    assert labels["exit_status"] == 1
    assert labels["details"]["files"][0]["accepted"] == 60
    assert erasure["status"] == "done"
    assert erasure["details"]["rows"] == {"labels": 6, "predictions": 6, "protected": 6}
    assert (past["details"]["predictions"], past["details"]["labels"]) == (10, 10)
    assert Counter(action for action, _ in found["audited"]) == {
        "labels_imported": 3,
        "quarantined": 1,
        "erased": 1,
        "backfilled": 1,
    }
    assert set(found["audited"].values()) == {1}
    # Neither the requests nor their files stay, and so no value of an erasure.
    assert all(name.endswith(".answer.json") for name in found["requests"])
    root = prepared.parent / "undisturbed"
    kept = [it for it in (root / "requests").rglob("*") if it.is_file()]
    assert not any(MEMBER in it.read_text() for it in kept)


@pytest.mark.parametrize("number", range(POINTS))
def test_killed_at_a_step_on_files(
    prepared: Path, undisturbed: tuple[dict[str, Any], int, float], number: int
) -> None:
    expected, steps, _ = undisturbed
    point = kills.point_of(number, POINTS, steps)
    root = prepared.parent / f"point-{number}"
    shutil.copytree(prepared, root)
    status, _ = kills.run_until(lambda: run(root), point)
    assert kills.is_killed(status), f"point {point} of {steps}"
    run(root)
    assert content(root) == expected, f"point {point} of {steps}"
    shutil.rmtree(root)


def killed_before(owner: type, name: str, turn: int) -> Callable[[Path], None]:
    """A run that is killed before the so-manyth call of a method."""

    def dying(root: Path) -> None:
        calls, method = 0, getattr(owner, name)

        def call(*words: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == turn:
                kills.die()
            return method(*words)

        setattr(owner, name, call)
        run(root)

    return dying


SEAMS = [
    *((Journal, "carried_out", turn) for turn in (1, 2, 3)),
    (Journal, "finished", 1),
    (Inbox, "put", 2),
    (Inbox, "_clear", 2),
]
"""Where a step is done for good, and nothing says so yet."""


@pytest.mark.parametrize("number", range(len(SEAMS)))
def test_killed_between_what_is_done_and_what_says_so(
    prepared: Path, undisturbed: tuple[dict[str, Any], int, float], number: int
) -> None:
    root = prepared.parent / f"seam-{number}"
    shutil.copytree(prepared, root)
    dying = killed_before(*SEAMS[number])
    assert kills.is_killed(kills.wait(kills.start(lambda: dying(root))))
    run(root)
    assert content(root) == undisturbed[0]
    shutil.rmtree(root)


@pytest.mark.parametrize("number", range(TIMES))
def test_killed_at_any_time_and_again(
    prepared: Path, undisturbed: tuple[dict[str, Any], int, float], number: int
) -> None:
    expected, _, seconds = undisturbed
    root = prepared.parent / f"time-{number}"
    shutil.copytree(prepared, root)
    kills.kill_twice(lambda: run(root), seconds, seed=number)
    run(root)
    assert content(root) == expected
    shutil.rmtree(root)


def test_a_request_that_ends_the_process_each_time_is_given_up(prepared: Path) -> None:
    root = prepared.parent / "given-up"
    shutil.copytree(prepared, root)
    inbox = Inbox(Store(root))
    (first, *_) = inbox.waiting()
    for _ in range(5):
        inbox.journal(first).begin("2026-11-29T12:00:00+00:00")
    run(root)
    answer = inbox.answer(first)
    assert answer is not None
    assert (answer.status, answer.exit_status) == ("failed", 1)
    assert answer.errors[0].startswith(
        f"request {first}: begun 5 times, and the monitor"
    )
    # The others are carried out all the same.
    assert not inbox.waiting()
