"""Reads of protected attributes are in the audit chain, and not one for each cycle."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from model_monitor.config import Fairness
from model_monitor.cycle import Cycle
from model_monitor.store import Store
from model_monitor.store.erasure import erase
from model_monitor.store.protected_reads import FairnessReads

from tests.support.monitor_records import land, protected
from tests.support.monitor_requests import MEMBER, config, filled, write_log

NOON = dt.datetime.now(dt.UTC).replace(hour=12, minute=0) + dt.timedelta(days=1)
"""Of tomorrow: the times in a chain never go back, and taking a log in adds entries."""


def entries(store: Store) -> list[dict[str, Any]]:
    if not store.chain.exists():
        return []
    found = map(json.loads, store.chain.read_text().splitlines())
    return [it for it in found if it["action"] == "protected_read"]


def files(store: Store) -> list[Path]:
    return sorted(store.protected.rglob("*.parquet"))


def day(number: int) -> str:
    return f"2026-11-{number:02}"


def test_the_counts_for_fairness_tell_of_what_they_read(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    (entry,) = entries(Store(tmp_path / "store"))
    assert entry["actor"] == "monitor"
    assert entry["details"] == {
        "purpose": "fairness",
        "model": "m",
        "days": [day(1), day(2)],
        "rows": 120,
    }


def test_more_cycles_of_a_day_add_no_entry(tmp_path: Path) -> None:
    root = tmp_path / "store"
    filled(root)
    for number in range(3):
        # Another process each time: nothing is known but what lies in the store.
        with Store(root).opened() as store:
            more = protected(
                id=str(number),
                time=f"{day(3 + number)}T09:00:00Z",
                model="m",
                attributes={"sex": "f"},
            )
            land(store, [more], f"protected-h-{number}.jsonl.gz")
            assert Cycle(config(root), store).run().computed
    assert len(entries(Store(root))) == 1


def test_the_first_read_of_a_day_tells_of_those_before(tmp_path: Path) -> None:
    with Store(tmp_path / "store").opened() as store:
        write_log(store)
        Cycle(config(store.root), store)._take_in()
        first, second, *_ = by_day(store)
        FairnessReads(store, 64).note(first, NOON)
        FairnessReads(store, 64).note(second, NOON + dt.timedelta(hours=1))
        FairnessReads(store, 64).note(second, NOON + dt.timedelta(hours=2))
        assert [it["details"]["days"] for it in entries(store)] == [[day(1)]]
        # A day later without a read: what was read meanwhile is told of.
        reads = FairnessReads(store, 64)
        reads.note([], NOON + dt.timedelta(hours=12))
        reads.note([], NOON + dt.timedelta(hours=40))
        assert [it["details"]["days"] for it in entries(store)] == [[day(1)], [day(2)]]
        assert [it["details"]["rows"] for it in entries(store)] == [60, 60]


def by_day(store: Store) -> list[list[Path]]:
    return [sorted(it.rglob("*.parquet")) for it in sorted(store.protected.iterdir())]


def test_a_kill_between_the_read_and_the_entry_loses_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "store").opened() as store:
        write_log(store)
        Cycle(config(store.root), store)._take_in()

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("model_monitor.store.protected_reads.note", killed)
            with pytest.raises(KeyboardInterrupt):
                FairnessReads(store, 64).note(files(store), NOON)
        FairnessReads(store, 64).note([], NOON + dt.timedelta(minutes=1))
        assert [it["details"]["rows"] for it in entries(store)] == [120]


def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path) -> None:
    with Store(tmp_path / "store").opened() as store:
        write_log(store)
        Cycle(config(store.root), store)._take_in()
        damaged, *others = files(store)
        damaged.write_bytes(b"no parquet")
        FairnessReads(store, 64).note([damaged, *others], NOON)
        (entry,) = entries(store)
    assert len(others) == 3
    assert entry["details"]["rows"] == 90


def test_without_attributes_to_compare_nothing_is_read(tmp_path: Path) -> None:
    root = tmp_path / "store"
    settings = config(root)
    model = dataclasses.replace(settings.models[0], fairness=Fairness())
    with Store(root).opened() as store:
        write_log(store)
        Cycle(dataclasses.replace(settings, models=(model,)), store).run()
        assert files(store)
        assert entries(store) == []


def test_an_erasure_tells_of_its_search(tmp_path: Path) -> None:
    root = tmp_path / "store"
    filled(root)
    with Store(root).opened() as store:
        erase(store, "member", MEMBER, value_hash="0", actor="dpo", now=NOON)
        _, entry = entries(store)
    assert entry["actor"] == "dpo"
    assert entry["details"] == {
        "purpose": "erasure",
        "model": "m",
        "days": [day(1), day(2)],
        "rows": 120,
    }
