"""Copies counted beside their originals, as gates of a shadow step are given them."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from model_monitor.config import parse
from model_monitor.counts.cohort import SHADOW
from model_monitor.cycle import Cycle
from model_monitor.intervals.pairs import SCORE_CUTS
from model_monitor.intervals.stored import StoredIntervals
from model_monitor.store import Store
from rollout import cohorts

from tests.support.monitor_logs import Label, Row, put_labels, put_predictions
from toolchain import paths

NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
START, SECONDS = int(NOON.timestamp()), 600


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as found:
        yield found


def counted(store: Store, *, pairs: bool = True) -> dict[str, Any]:
    """Run a cycle; the answer's pairs."""
    problems: list[str] = []
    section = {"seconds": SECONDS, "days": 2} | ({"pairs": True} if pairs else {})
    model = {"name": "m", "intervals": section}
    config = parse(
        {"store": str(store.root), "clock": "event", "models": [model]}, problems
    )
    assert problems == []
    Cycle(config, store).run()
    (one,) = config.models
    assert one.intervals
    found = StoredIntervals(store, "m", one.intervals, config.memory_mib).since(0)
    pairs_found: dict[str, Any] = found["pairs"]
    return pairs_found


def made_up(n: int) -> tuple[list[Row], list[Row], list[Label]]:
    """Originals, the copies of most of them, and labels of some."""
    chance = random.Random(3)
    originals, copies, labels = [], [], []
    for number in range(n):
        late = dt.timedelta(seconds=chance.randrange(2 * SECONDS - 1))
        one = Row(
            f"request-{number}",
            NOON + late,
            revision=chance.choice(["r1", "r1", "r0"]),
            arm="stable",
            decision=chance.choice("01"),
            score=chance.randrange(101) / 100,
        )
        refused = {"code": "full", "decision": None, "score": None}
        copy = replace(
            one,
            revision="r2",
            arm=SHADOW,
            decision=chance.choice("01"),
            score=chance.randrange(101) / 100,
        )
        if chance.random() < 0.9:
            originals.append(replace(one, **refused) if chance.random() < 0.1 else one)
        if chance.random() < 0.9:
            copies.append(replace(copy, **refused) if chance.random() < 0.1 else copy)
        if chance.random() < 0.5:
            labels.append(Label(one.id, chance.choice("01"), one.time, NOON.date()))
    return originals, copies, labels


def recounted(
    originals: list[Row], copies: list[Row], labels: list[Label]
) -> list[dict[str, Any]]:
    """The same counts row by row."""
    label = {it.id: it.label for it in labels}
    by_id = {it.id: it for it in originals if it.code is None}
    found: dict[int, dict[str, Any]] = {}
    for copy in (it for it in copies if it.code is None):
        start = int(copy.time.timestamp()) // SECONDS * SECONDS
        empty = {"start": start, "copies": 0, "originals": {}}
        one = found.setdefault(start, empty)
        one["copies"] += 1
        if (original := by_id.get(copy.id)) is None:
            continue
        pair = one["originals"].setdefault(
            original.revision,
            {
                "decided": 0,
                "changed": 0,
                "scored": 0,
                "apart": [0] * len(SCORE_CUTS),
                "labelled": 0,
                "only_copy_right": 0,
                "only_original_right": 0,
            },
        )
        pair["decided"] += 1
        pair["changed"] += copy.decision != original.decision
        pair["scored"] += 1
        hundredths = round(abs(copy.score - original.score) * 100)  # type: ignore[operator]
        for place, cut in enumerate(SCORE_CUTS):
            pair["apart"][place] += hundredths > round(float(cut) * 100)
        if (known := label.get(copy.id)) is not None:
            copy_right, right = copy.decision == known, original.decision == known
            pair["labelled"] += 1
            pair["only_copy_right"] += copy_right and not right
            pair["only_original_right"] += right and not copy_right
    return [one for _, one in sorted(found.items())]


def test_pairs_are_those_of_every_copy(store: Store) -> None:
    originals, copies, labels = made_up(2000)
    # A copy's file may come before its original's, and a file holds some of the rows.
    put_predictions(store, "copies", copies[:1000], "m")
    put_predictions(store, "first", originals[:700], "m")
    put_predictions(store, "second", originals[700:] + copies[1000:], "m")
    put_labels(store, "late", labels, "m")
    assert counted(store) == {"r2": recounted(originals, copies, labels)}


def test_a_late_label_and_a_late_original_count_in_the_copys_interval(
    store: Store,
) -> None:
    copy = Row("a", NOON, revision="r2", arm=SHADOW, decision="1", score=0.9)
    put_predictions(store, "copy", [copy], "m")
    assert counted(store)["r2"] == [{"start": START, "copies": 1, "originals": {}}]
    put_predictions(store, "late", [replace(copy, revision="r1", arm="stable")], "m")
    put_labels(store, "late", [Label("a", "1", NOON, NOON.date())], "m")
    (one,) = counted(store)["r2"]
    pair = one["originals"]["r1"]
    assert (pair["decided"], pair["changed"], pair["labelled"]) == (1, 0, 1)


def test_an_original_that_was_shipped_twice_is_one_pair(store: Store) -> None:
    original = Row("a", NOON, revision="r1", arm="stable", decision="1", score=0.5)
    put_predictions(store, "copy", [replace(original, revision="r2", arm=SHADOW)], "m")
    put_predictions(store, "one", [original], "m")
    put_predictions(store, "again", [original], "m")
    (one,) = counted(store)["r2"]
    assert (one["copies"], one["originals"]["r1"]["decided"]) == (1, 1)


def test_pairs_are_counted_where_they_are_asked_for(store: Store) -> None:
    original = Row("a", NOON, revision="r1", arm="stable", decision="1")
    put_predictions(store, "copy", [replace(original, revision="r2", arm=SHADOW)], "m")
    assert counted(store, pairs=False) == {}
    assert [*counted(store)] == ["r2"]


def test_the_answer_is_that_of_the_contract(store: Store) -> None:
    path = paths.ROOT / "contracts" / "revision_intervals.yaml"
    contract = yaml.safe_load(path.read_text())
    original = Row("a", NOON, revision="r1", arm="stable", decision="1", score=0.5)
    put_predictions(store, "copy", [replace(original, revision="r2", arm=SHADOW)], "m")
    put_predictions(store, "one", [original], "m")
    (one,) = counted(store)["r2"]
    assert list(one) == list(contract["copies"])
    assert list(one["originals"]["r1"]) == list(contract["pair"])
    cuts = ", ".join(SCORE_CUTS)
    assert cuts in contract["pair"]["apart"]["meaning"]
    assert cohorts.SCORE_CUTS == SCORE_CUTS
    assert len(one["originals"]["r1"]["apart"]) == len(SCORE_CUTS)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_switch_that_is_none_is_refused(tmp_path: Path, value: object) -> None:
    problems: list[str] = []
    section = {"seconds": SECONDS, "days": 1, "pairs": value}
    parse(
        {"store": str(tmp_path), "models": [{"name": "m", "intervals": section}]},
        problems,
    )
    assert len(problems) == 1
    assert "models[0].intervals.pairs" in problems[0]
