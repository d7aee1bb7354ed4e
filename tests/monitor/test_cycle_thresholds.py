"""Limits of models stand in the audit chain, from the first ones on."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from model_monitor import thresholds
from model_monitor.audit import verify
from model_monitor.config import Drift, Fairness, Model, Quality
from model_monitor.cycle import Config, Cycle
from model_monitor.store import Store

MODEL = Model(
    "m",
    reference=Path("/models/m/reference.json"),
    quality=(Quality("f1", 0.8, 0.05),),
    fairness=Fairness(("SEX",)),
    review_by=dt.date(2027, 3, 31),
)


def limits(chain: Path) -> list[tuple[str, dict[str, Any]]]:
    entries = [json.loads(line) for line in chain.read_text().splitlines()]
    return [(it["details"]["model"], it["details"]["limits"]) for it in entries]


def test_an_entry_for_each_change_and_none_without(tmp_path: Path) -> None:
    chain = tmp_path / "chain.jsonl"
    other = Model("other")
    assert thresholds.note(chain, [MODEL, other]) == ["m", "other"]
    assert thresholds.note(chain, [other, MODEL]) == []
    stricter = replace(MODEL, drift=Drift(alpha=0.001))
    assert thresholds.note(chain, [stricter, other]) == ["m"]
    assert thresholds.note(chain, [MODEL, other]) == ["m"]
    found = limits(chain)
    assert [model for model, _ in found] == ["m", "other", "m", "m"]
    first, _, second, third = (it for _, it in found)
    assert first == third
    assert first["quality"] == [{"metric": "f1", "baseline": "0.8", "margin": "0.05"}]
    assert first["review_by"] == "2027-03-31"
    assert second["drift"]["alpha"] == "0.001"
    assert verify(chain).is_intact


def test_a_cycle_notes_them_before_it_counts(tmp_path: Path) -> None:
    with Store(tmp_path).opened() as store:
        Cycle(Config(tmp_path, (MODEL,), clock="event"), store).run()
        Cycle(Config(tmp_path, (MODEL,), clock="event"), store).run()
        assert [model for model, _ in limits(store.chain)] == ["m"]


def test_an_unfinished_line_is_no_entry(tmp_path: Path) -> None:
    chain = tmp_path / "chain.jsonl"
    thresholds.note(chain, [MODEL])
    whole = chain.read_bytes()
    chain.write_bytes(whole + whole[:-20])
    assert thresholds.note(chain, [MODEL]) == []
