"""`python3 -m rollout.explain`: a verdict from its entry alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rollout import explain, record
from rollout.objects import Names
from rollout.protocol import give, tick
from rollout.status import OrderKind

from tests.support.rollouts import BAD, SETTINGS, World


@pytest.fixture
def entry() -> dict:
    world = World(counts=lambda: {"errors": BAD})
    world.run(tick())
    return [*world.ledger.values()][-1]


def test_it_shows_what_a_verdict_rests_on(
    entry: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "entry.json"
    file.write_text(json.dumps(Names("models", "m").entry(entry)))
    assert explain.main([str(file)]) == 0
    head, reason, errors, last = capsys.readouterr().out.splitlines()
    assert head == f"{entry['id']}: rollback, b from 5 % to 0 %"
    assert reason.startswith("reason: errors: the canary makes the bad ones")
    assert errors.startswith(
        "errors: rollback; canary 400 of 2000, stable 0 of 18000 bad in 2 intervals; "
        "worse by 20.00 points, "
    )
    assert last.startswith("computed again from the entry alone; digest ")


def test_an_entry_that_was_changed_is_found(
    entry: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "entry.json"
    file.write_text(json.dumps(entry | {"verdict": "promote"}))
    assert explain.main([str(file)]) == 1
    assert "  verdict: the entry says promote, its facts give rollback" in (
        capsys.readouterr().out.splitlines()
    )


def ordered(kind: OrderKind, weight: int = 100, mirror: int = 0) -> dict:
    """The entry of an order at 5 % of the requests, or at copies."""
    settings = replace(SETTINGS, shadow_percent=mirror)
    world = World(settings=settings)
    world.run(tick())
    world.run(give(kind, who="ann", why="because", weight=weight))
    world.run(tick())
    found = next(it for it in world.ledger.values() if it["order"])
    return json.loads(json.dumps(found))


@pytest.mark.parametrize("kind", OrderKind)
@pytest.mark.parametrize("mirror", [0, 20])
def test_an_order_that_was_carried_out_is_what_it_asks_for(
    kind: OrderKind, mirror: int
) -> None:
    entry = ordered(kind, 60, mirror)
    assert ("mirrors" in entry) == bool(mirror)
    assert record.recompute(entry)[1] == []


@pytest.mark.parametrize(
    ("kind", "change", "differs"),
    [
        (OrderKind.PAUSE, {"order": None}, "order"),
        (OrderKind.PAUSE, {"reason": "pause by bob: because"}, "reason"),
        (OrderKind.PAUSE, {"weights": {"before": 5, "after": 100}}, "weights"),
        (OrderKind.RESUME, {"weights": {"before": 5, "after": 6}}, "weights"),
        (OrderKind.APPROVE, {"weights": {"before": 5, "after": 60}}, "weights"),
        (OrderKind.BACK, {"weights": {"before": 5, "after": 5}}, "weights"),
        (OrderKind.BACK, {"weights": {"before": 25, "after": 0}}, "weights"),
        (OrderKind.PROMOTE, {"weights": {"before": 5, "after": 100}}, "weights"),
        (OrderKind.PAUSE, {"mirrors": {"before": 0, "after": 20}}, "mirrors"),
        (OrderKind.PAUSE, {"judgements": [{"gate": "errors"}]}, "judgements"),
    ],
)
def test_an_entry_that_only_calls_itself_an_order_is_found(
    kind: OrderKind, change: dict, differs: str
) -> None:
    _, differences = record.recompute(ordered(kind, weight=60) | change)
    assert [it.partition(":")[0] for it in differences] == [differs]


def test_copies_that_an_order_did_not_ask_for_are_found() -> None:
    entry = ordered(OrderKind.BACK, mirror=20)
    assert entry["mirrors"] == {"before": 20, "after": 0}
    wrong = entry | {"mirrors": {"before": 20, "after": 20}}
    assert record.recompute(wrong)[1][0].startswith("mirrors: the entry says")


def test_a_verdict_of_the_gates_has_no_order_and_no_copies(entry: dict) -> None:
    order = ordered(OrderKind.BACK)["order"]
    mirrors = {"before": 0, "after": 20}
    _, differences = record.recompute(entry | {"order": order, "mirrors": mirrors})
    assert [it.partition(":")[0] for it in differences] == ["order", "mirrors"]


def test_a_harmful_decision_is_not_hidden_by_calling_it_an_order(entry: dict) -> None:
    for order in (None, ordered(OrderKind.PROMOTE)["order"]):
        assert record.recompute(entry | {"verdict": "order", "order": order})[1]


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}'])
def test_what_is_no_entry_is_reported(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "entry.json"
    file.write_text(text)
    assert explain.main([str(file)]) == 2
    assert "is not a ledger entry" in capsys.readouterr().err
    assert explain.main([]) == 2
