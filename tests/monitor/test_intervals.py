"""Counts by revision and interval, as gates of rollouts are given them."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from model_monitor.audit.search import entries
from model_monitor.config import Config, parse
from model_monitor.counts.cohort import SHADOW
from model_monitor.cycle import Cycle
from model_monitor.intervals import routes
from model_monitor.intervals.counting import LEAST_CELL
from model_monitor.receiver import HANDLERS
from model_monitor.store import Store
from starlette.applications import Starlette

from tests.support.monitor_logs import (
    Label,
    Member,
    Row,
    put_labels,
    put_predictions,
    put_protected,
)
from toolchain import paths

NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
START = int(NOON.timestamp())
SECONDS = 600
CELLS = {(True, "1"): 0, (True, "0"): 1, (False, "1"): 2, (False, "0"): 3}
RAW: dict[str, Any] = {
    "name": "m",
    "fairness": {"attributes": ["sex"]},
    "intervals": {"seconds": SECONDS, "days": 2, "groups": {"sex": ["1", "2"]}},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as found:
        yield found


def cycle(store: Store, **changes: Any) -> Cycle:
    problems: list[str] = []
    model = RAW | changes
    content = {"store": str(store.root), "clock": "event", "models": [model]}
    config = parse(content, problems)
    assert problems == []
    return Cycle(config, store)


def answer(store: Store, since: object = 0, **changes: Any) -> httpx.Response:
    problems: list[str] = []
    content = {"store": str(store.root), "models": [RAW | changes]}
    return got(store, parse(content, problems), f"?since={since}")


def got(store: Store, config: Config, query: str = "") -> httpx.Response:
    app = Starlette(routes=routes.routes(config, store), exception_handlers=HANDLERS)

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as one:
            return await one.get(f"/api/v1/models/m/intervals{query}")

    return asyncio.run(get())


def made_up(n: int) -> tuple[list[Row], list[Label], list[Member]]:
    chance = random.Random(1)
    rows, labels, members = [], [], []
    for number in range(n):
        time = NOON + dt.timedelta(seconds=chance.randrange(2 * SECONDS))
        name = f"request-{number}"
        revision, decision = chance.choice(["r1", "r2"]), chance.choice("01")
        refused = chance.random() < 0.05
        score = None if refused else chance.randrange(101) / 100
        rows.append(
            Row(
                name,
                time,
                revision=revision,
                arm=chance.choice(["stable", "canary", SHADOW]),
                code="full" if refused else None,
                decision=None if refused else decision,
                score=score,
            )
        )
        for days in range(chance.choice([0, 1, 2])):
            moment = time + dt.timedelta(days=days + 1)
            label = chance.choice("01")
            labels.append(Label(name, label, moment, NOON.date()))
        sex = chance.choice("112")
        members.append(Member(name, time, {"sex": sex}, revision=revision))
    return rows, labels, members


def recounted(
    rows: list[Row], labels: list[Label], members: list[Member]
) -> dict[str, dict[int, dict[str, Any]]]:
    """The same counts by row, without copies; of a row's labels the newest holds."""
    latest = {it.id: it.label for it in sorted(labels, key=lambda it: it.label_time)}
    sex = {it.id: it.attributes["sex"] for it in members}
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in (it for it in rows if it.code is None and it.arm != SHADOW):
        start = int(row.time.timestamp()) // SECONDS * SECONDS
        one = found.setdefault(row.revision, {}).setdefault(
            start,
            {
                "start": start,
                "answered": 0,
                "labelled": 0,
                "right": 0,
                "cells": [0] * 4,
                "scores": [0] * 10,
                "groups": {"sex": {"1": [0] * 4, "2": [0] * 4}},
            },
        )
        label, positive = latest.get(row.id), row.decision == "1"
        one["answered"] += 1
        if label is not None:
            one["labelled"] += 1
            one["right"] += label == row.decision
            one["cells"][
                0
                if positive and label == "1"
                else 1
                if positive
                else 2
                if label == "1"
                else 3
            ] += 1
        assert row.score is not None
        one["scores"][min(int(row.score * 10 + 1e-9), 9)] += 1
        cells = one["groups"]["sex"][sex[row.id]]
        cells[0] += 1
        cells[1] += positive
        cells[2] += label == "1"
        cells[3] += positive and label == "1"
    return found


def test_counts_are_those_of_every_row(store: Store) -> None:
    rows, labels, members = made_up(2000)
    put_predictions(store, "one", rows[:900], "m")
    put_predictions(store, "two", rows[900:], "m")
    put_protected(store, "one", members, "m")
    put_labels(store, "late", labels, "m")
    cycle(store).run()
    found = answer(store).json()
    assert (found["model"], found["seconds"]) == ("m", SECONDS)
    wanted = recounted(rows, labels, members)
    assert {
        revision: {it["start"]: it for it in intervals}
        for revision, intervals in found["revisions"].items()
    } == wanted
    assert [it["start"] for it in found["revisions"]["r2"]] == [START, START + SECONDS]


def test_a_late_label_counts_where_its_prediction_was_made(store: Store) -> None:
    put_predictions(store, "one", [Row("a", NOON, decision="1")], "m")
    running = cycle(store)
    running.run()
    (before,) = answer(store).json()["revisions"]["r1"]
    assert (before["answered"], before["labelled"]) == (1, 0)
    late = Label("a", "0", NOON + dt.timedelta(days=9), NOON.date())
    put_labels(store, "late", [late], "m")
    running.run()
    # By the clock of events it is nine days later, and the day is over.
    assert answer(store).json()["revisions"] == {}
    longer = {"intervals": RAW["intervals"] | {"days": 30}}
    cycle(store, **longer).run()
    (after,) = answer(store, **longer).json()["revisions"]["r1"]
    assert (after["start"], after["labelled"], after["right"]) == (START, 1, 0)
    assert after["cells"] == [0, 1, 0, 0]


def test_what_was_counted_is_not_read_again_and_what_was_erased_is_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_predictions(store, "one", [Row("a", NOON), Row("b", NOON)], "m")
    running = cycle(store)
    running.run()
    (path,) = (store.root / "intervals").rglob("*.json")
    written = path.stat().st_mtime_ns
    running.run()
    assert path.stat().st_mtime_ns == written
    for file in store.predictions.rglob("*.parquet"):
        file.unlink()
    running.run()
    assert json.loads(path.read_bytes())["revisions"] == {}


def test_a_revision_that_has_only_copies_has_no_intervals(store: Store) -> None:
    asked = Row("a", NOON, decision="1")
    put_predictions(store, "one", [asked], "m")
    copy = replace(asked, revision="r2", arm=SHADOW)
    put_predictions(store, "two", [copy], "m")
    cycle(store).run()
    assert [*answer(store).json()["revisions"]] == ["r1"]


def members(sizes: dict[str, int]) -> tuple[list[Row], list[Member]]:
    names = [(it, f"{it}-{n}") for it, size in sizes.items() for n in range(size)]
    rows = [Row(name, NOON, decision="1") for _, name in names]
    return rows, [Member(name, NOON, {"sex": it}) for it, name in names]


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ({"1": 40, "2": LEAST_CELL}, True),
        ({"1": 40, "2": LEAST_CELL - 1}, False),
        # The third group could be found by subtraction.
        ({"1": 40, "2": 40, "3": 1}, False),
        ({"1": 40, "2": 40, "3": LEAST_CELL}, True),
    ],
)
def test_few_people_are_not_counted_apart(
    store: Store, sizes: dict[str, int], *, shown: bool
) -> None:
    rows, people = members(sizes)
    put_predictions(store, "one", rows, "m")
    put_protected(store, "one", people, "m")
    cycle(store).run()
    (found,) = answer(store).json()["revisions"]["r1"]
    assert found["answered"] == sum(sizes.values())
    assert ("sex" in found["groups"]) is shown


def test_few_people_with_a_positive_label_are_not_counted_apart(store: Store) -> None:
    rows, people = members({"1": 40, "2": 40})
    put_predictions(store, "one", rows, "m")
    put_protected(store, "one", people, "m")
    labels = [Label(it.id, "1", NOON, NOON.date()) for it in rows[:44]]
    put_labels(store, "some", labels, "m")
    cycle(store).run()
    (found,) = answer(store).json()["revisions"]["r1"]
    assert found["groups"] == {"sex": {"1": [40, 40, 0, 0], "2": [40, 40, 0, 0]}}


def test_reads_of_protected_attributes_are_in_the_audit_chain(store: Store) -> None:
    rows, people = members({"1": 40, "2": 40})
    put_predictions(store, "one", rows, "m")
    put_protected(store, "one", people, "m")
    cycle(store).run()
    assert [it["details"]["model"] for it in entries(store.chain, "protected_read")]


def test_without_the_setting_nothing_is_counted(store: Store) -> None:
    put_predictions(store, "one", [Row("a", NOON)], "m")
    problems: list[str] = []
    content = {"store": str(store.root), "models": [{"name": "m"}]}
    config = parse(content, problems)
    Cycle(config, store).run()
    assert not (store.root / "intervals").exists()
    found = got(store, config)
    assert (found.status_code, found.json()["error"]["code"]) == (404, "unknown_model")


@pytest.mark.parametrize("since", ["x", "-1", "1.5", "9" * 12])
def test_a_time_that_is_none_is_refused(store: Store, since: str) -> None:
    assert answer(store, since=since).status_code == 400


def test_intervals_from_a_time_on(store: Store) -> None:
    later = NOON + dt.timedelta(seconds=SECONDS)
    put_predictions(store, "one", [Row("a", NOON), Row("b", later)], "m")
    cycle(store).run()
    found = answer(store, since=START + 1).json()["revisions"]["r1"]
    assert [it["start"] for it in found] == [START + SECONDS]


@pytest.mark.parametrize("seconds", [7, 5, 86_401, 3600.5, True])
def test_intervals_that_divide_no_day_are_refused(
    tmp_path: Path, seconds: object
) -> None:
    problems: list[str] = []
    model = {"name": "m", "intervals": {"seconds": seconds, "days": 1}}
    parse({"store": str(tmp_path), "models": [model]}, problems)
    assert len(problems) == 1
    assert "models[0].intervals.seconds" in problems[0]


def test_the_answer_is_that_of_the_contract(store: Store) -> None:
    path = paths.ROOT / "contracts" / "revision_intervals.yaml"
    contract = yaml.safe_load(path.read_text())
    rows, people = members({"1": 40, "2": 40})
    put_predictions(store, "one", rows, "m")
    put_protected(store, "one", people, "m")
    cycle(store).run()
    found = answer(store).json()
    assert list(found) == list(contract["fields"])
    (interval,) = found["revisions"]["r1"]
    assert list(interval) == list(contract["interval"])
    assert len(interval["groups"]["sex"]["1"]) == len(contract["group"])
