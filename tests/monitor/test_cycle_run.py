"""The cycle: what it counts, writes and tells, pass by pass."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.config import Config, Drift, Model, Quality
from model_monitor.cycle import Cycle, StoppedError
from model_monitor.store import Store
from model_monitor.store.retention import Retention

from tests.support.monitor_logs import Label, Row, put_labels, put_predictions

FIRST = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MODEL = Model("m", label_horizon_days=1, min_labels=2, drift=Drift(min_rows=2))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def cycle(store: Store, model: Model = MODEL, **settings: Any) -> Cycle:
    return Cycle(Config(store.root, (model,), **{"clock": "event"} | settings), store)


def rows(prefix: str, day: dt.datetime, number: int = 4) -> list[Row]:
    return [
        Row(f"{prefix}{it}", day, decision=str(it % 2), features={"age": it})
        for it in range(number)
    ]


def labels(prefix: str, day: dt.datetime, known: dt.datetime) -> list[Label]:
    return [Label(f"{prefix}{it}", "1", known, day.date()) for it in range(4)]


def results(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((store.results / "m.json").read_text())
    return found


def write_reference(path: Path) -> None:
    age = {"histogram": {"edges": [0, 2, 4], "counts": [500, 500]}}
    path.write_text(json.dumps({"rows": 1000, "features": {"age": age}}))


def test_a_label_that_comes_later_changes_its_day_in_the_next_pass(
    store: Store,
) -> None:
    monitor = cycle(store)
    put_predictions(store, "p1", rows("a", FIRST), "m")
    put_predictions(store, "p2", rows("b", FIRST + DAY), "m")
    first = monitor.run()
    assert [it.date.day for it in first.computed] == [1, 2]
    # "now" is the newest record: the first day is not due before its horizon.
    assert first.now == FIRST + DAY
    assert results(store)["revisions"][0]["windows"]["7d"]["answered"] == 0
    put_labels(store, "l", labels("a", FIRST, FIRST + 2 * DAY), "m")
    second = monitor.run()
    assert [it.date.day for it in second.computed] == [1]
    assert second.now == FIRST + 2 * DAY
    (revision,) = results(store)["revisions"]
    window = revision["windows"]["7d"]
    assert (window["answered"], window["labelled"]) == (4, 4)
    assert window["metrics"]["accuracy"]["value"] == 0.5
    assert [day["labelled"] for day in revision["history"]] == [4, 0]


def test_a_pass_without_news_writes_nothing(store: Store) -> None:
    monitor = cycle(store)
    put_predictions(store, "p", rows("a", FIRST), "m")
    assert list(monitor.run().results) == ["m"]
    before = (store.results / "m.json").stat()
    again = monitor.run()
    assert again.results == {}
    assert again.computed == []
    assert (store.results / "m.json").stat().st_ino == before.st_ino
    # A monitor that starts anew writes the same.
    content = (store.results / "m.json").read_bytes()
    assert cycle(store).run().computed == []
    assert (store.results / "m.json").read_bytes() == content


def test_the_figures_of_today_follow_the_wall_clock(store: Store) -> None:
    now = dt.datetime.now(dt.UTC)
    put_predictions(store, "p", rows("a", now - DAY / 24), "m")
    result = cycle(store, clock="wall").run()
    assert abs((result.now - now).total_seconds()) < 60


def test_files_that_landed_are_read_and_labels_find_them(store: Store) -> None:
    line = {
        "id": "1",
        "row": 0,
        "time": "2026-11-01T12:00:00.000000Z",
        "model": "m",
        "version": "1",
        "revision": "r1",
        "arm": "stable",
        "status": 200,
        "latency_seconds": 0.5,
        "features": {"age": 3},
        "decision": 1,
        "score": 0.75,
    }
    landed = store.landing / "predictions-host-2026-1-1.jsonl"
    landed.write_text(json.dumps(line) + "\n")
    result = cycle(store).run()
    assert [str(it.date) for it in result.computed] == ["2026-11-01"]
    assert not landed.exists()
    (day,) = results(store)["revisions"][0]["history"]
    assert day["answered"] == 1


def test_a_reference_that_cannot_be_read_is_reported_and_costs_no_counts(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "reference.json"
    write_reference(path)
    model = Model("m", reference=path, drift=Drift(min_rows=2))
    put_predictions(store, "p", rows("a", FIRST), "m")
    monitor = cycle(store, model)
    assert monitor.run().problems == {}
    assert not results(store)["reference_is_missing"]
    path.rename(tmp_path / "elsewhere")
    # One that starts anew has none; what is counted stays.
    anew = cycle(store, model).run()
    assert anew.computed == []
    (problem,) = anew.problems["m"]
    assert problem.startswith(f"{path}: cannot be read as JSON")
    assert results(store)["reference_is_missing"]
    assert results(store)["problems"] == [problem]
    # One that runs goes on with the last one.
    put_predictions(store, "q", rows("b", FIRST + DAY), "m")
    assert [it.date.day for it in monitor.run().computed] == [2]
    assert results(store)["reference_is_missing"]
    (tmp_path / "elsewhere").rename(path)
    again = monitor.run()
    assert again.computed == []
    assert not results(store)["reference_is_missing"]


def test_days_counted_without_a_reference_are_counted_again_with_it(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "reference.json"
    model = Model("m", reference=path, drift=Drift(min_rows=2))
    put_predictions(store, "p", rows("a", FIRST), "m")
    monitor = cycle(store, model)
    assert len(monitor.run().computed) == 1
    assert monitor.run().computed == []
    write_reference(path)
    assert len(monitor.run().computed) == 1
    assert monitor.run().computed == []


def test_a_model_that_cannot_be_counted_leaves_the_others_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_monitor.counts.counting.MOST_CLASSES", 1)
    put_predictions(store, "p", rows("a", FIRST), "m")
    put_predictions(store, "p", [Row("1", FIRST, decision="1")], "other")
    config = Config(store.root, (MODEL, Model("other")), clock="event")
    result = Cycle(config, store).run()
    assert [it.model for it in result.computed] == ["other"]
    (problem,) = result.problems["m"]
    assert problem.startswith("m, 2026-11-01: 2 different decisions, such as '0'")


def test_old_days_are_deleted_by_the_wall_clock_alone(store: Store) -> None:
    now = dt.datetime.now(dt.UTC)
    old, young = now - 20 * DAY, now - DAY
    put_predictions(store, "p", rows("a", old), "m")
    put_predictions(store, "q", rows("b", young), "m")
    retention = Retention(raw_days=10, figures_days=15)
    replay = cycle(store, retention=retention).run()
    assert len(replay.computed) == 2
    assert len(list(store.predictions.rglob("*.parquet"))) == 2
    cycle(store, clock="wall", retention=retention).run()
    assert [it.name for it in store.predictions.iterdir()] == [f"date={young.date()}"]
    assert [it.name for it in store.counts.rglob("*.json")] == [
        f"date={young.date()}.json"
    ]


def test_counts_outlive_the_files_that_they_were_made_of(store: Store) -> None:
    now = dt.datetime.now(dt.UTC)
    old = now - 12 * DAY
    put_predictions(store, "p", rows("a", old), "m")
    retention = Retention(raw_days=10, figures_days=400)
    cycle(store, retention=retention).run()
    monitor = cycle(store, clock="wall", retention=retention)
    monitor.run()
    assert not list(store.predictions.rglob("*.parquet"))
    assert monitor.run().computed == []
    (day,) = results(store)["revisions"][0]["history"]
    assert day["answered"] == 4


def test_it_stops_between_two_steps(store: Store) -> None:
    put_predictions(store, "p", rows("a", FIRST), "m")
    asked = 0

    def is_stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    config = Config(store.root, (MODEL,), clock="event")
    with pytest.raises(StoppedError):
        Cycle(config, store, is_stopping).run()
    assert not list(store.counts.rglob("*.json"))
    assert len(cycle(store).run().computed) == 1


def test_quality_is_judged_by_the_references_metrics(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "reference.json"
    write_reference(path)
    (tmp_path / "model.yaml").write_text("metrics: {accuracy: 0.95}\n")
    model = Model(
        "m",
        reference=path,
        label_horizon_days=1,
        min_labels=4,
        quality=(Quality("accuracy", "reference", 0.0),),
    )
    put_predictions(store, "p", rows("a", FIRST), "m")
    put_labels(store, "l", labels("a", FIRST, FIRST + 2 * DAY), "m")
    cycle(store, model).run()
    (revision,) = results(store)["revisions"]
    (judgement,) = revision["windows"]["1d"]["judgements"]
    # 2 of 4 are right: the upper end of Wilson's interval is .85.
    assert judgement["verdict"] == "below baseline"
    assert judgement["baseline"] == 0.95
