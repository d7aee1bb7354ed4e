"""Decisions of a rollout as entries of the model ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rollout import record
from rollout.status import OrderKind

from slipway.cli import cli
from slipway.ledger.ledger import Word
from slipway.rollouts import ledger_command, ledger_plan, to_ledger
from slipway.rollouts.to_ledger import BY_GATES
from tests.support.ledgers import subject
from tests.support.rollout_ledger import MODEL, SERVER, WORD, Rollout, begun, through
from tests.support.rollouts import BAD


@pytest.fixture
def rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    return begun(tmp_path, monkeypatch)


def test_a_promotion_says_which_revision_served_when_and_by_whose_word(
    rollout: Rollout,
) -> None:
    through(rollout)
    told = rollout.run("--by", "carol")
    assert "4 decisions, 5 entries added" in told
    assert rollout.places() == [
        ("a", "serving"),
        ("b", "shadow"),
        ("b", "canary"),
        ("b", "serving"),
        ("a", "staged"),
    ]
    *_, served, back = rollout.entries
    assert (served.actor, back.action) == ("carol", "revision_taken_back")
    newest = [*rollout.world.ledger.values()][-1]
    decision = served.details["decision"]
    assert decision["id"] == newest["id"]
    assert decision["time"].startswith("2027-01-15T08:")
    assert decision["by"] == BY_GATES
    assert rollout.world.status
    assert decision["sha256"] == rollout.world.status.head
    assert served.details["reason"].startswith("b from 25 % to 100 %: errors: worse")
    shown = CliRunner().invoke(
        cli, ["ledger", "history", MODEL, "--ledger", str(rollout.root)]
    )
    assert f"b serving_started by carol, decided {decision['time'][:19]}Z by the" in (
        shown.output
    )


def test_twice_is_no_change_at_any_time(rollout: Rollout) -> None:
    assert "0 decisions, nothing to add" in rollout.run()
    for _ in range(4):
        rollout.step()
        rollout.run()
        before = rollout.entries
        assert "nothing to add" in rollout.run()
        assert rollout.entries == before
    assert rollout.states() == {"a": "staged", "b": "serving"}
    assert len(rollout.places()) == 5


def test_a_rollback_and_an_order_are_whose_they_are(rollout: Rollout) -> None:
    rollout.step()
    rollout.step()
    rollout.step(BAD)
    rollout.order(OrderKind.RESUME)
    rollout.order(OrderKind.PAUSE)
    rollout.order(OrderKind.PROMOTE)
    rollout.run()
    assert rollout.states() == {"a": "staged", "b": "serving"}
    by = [
        (it.details["state"], it.details["decision"]["by"])
        for it in rollout.entries[4:]
        if it.details["revision"] == "b"
    ]
    assert ("staged", BY_GATES) in by
    assert by[-1] == ("serving", "ann")
    assert "promote by ann: lunch" in rollout.entries[-1].details["reason"]


def test_less_than_all_again_leads_over_staged(rollout: Rollout) -> None:
    through(rollout)
    rollout.run()
    rollout.order(OrderKind.PROMOTE, weight=60)
    rollout.run()
    assert rollout.places()[5:] == [("b", "staged"), ("b", "canary"), ("a", "serving")]
    rollout.order(OrderKind.BACK)
    rollout.run()
    assert rollout.states() == {"a": "serving", "b": "staged"}


@pytest.mark.parametrize("written", range(6))
def test_a_run_that_was_killed_is_finished_by_the_next(
    rollout: Rollout, written: int
) -> None:
    through(rollout)
    ledger = rollout.ledger
    status, entries = rollout.record()
    decisions = to_ledger.decisions(entries, status)
    moves = ledger_plan.plan(ledger.read(MODEL), decisions, SERVER)
    for one in moves[:written]:
        ledger.move(
            MODEL,
            one.revision,
            one.state,
            Word("carol", one.decision.reason),
            decision=one.details,
        )
    rollout.run()
    assert rollout.places() == [(it.revision, it.state) for it in moves]


def test_two_runs_at_once_copy_each_decision_once(rollout: Rollout) -> None:
    """The second has planned before the first has written."""
    rollout.step()
    rollout.step()
    rollout.step(BAD)
    ledger = rollout.ledger
    status, entries = rollout.record()
    decisions = to_ledger.decisions(entries, status)
    moves = ledger_plan.plan(ledger.read(MODEL), decisions, SERVER)
    added = []
    for _ in range(2):
        for one in moves:
            word = Word("carol", one.decision.reason)
            details = one.details
            done = ledger.move(MODEL, one.revision, one.state, word, decision=details)
            added.append(done.is_new)
    assert added == [True] * len(moves) + [False] * len(moves)
    assert rollout.places() == [(it.revision, it.state) for it in moves]


def test_decisions_are_copied_in_their_order_after_a_clock_was_set_back(
    rollout: Rollout,
) -> None:
    """A rollout that is resumed has the new time in the ids of its decisions."""
    rollout.step()
    rollout.step()
    rollout.run()
    rollout.world.now -= 5000
    rollout.order(OrderKind.RESUME)
    rollout.step()
    rollout.step()
    rollout.run()
    status, entries = rollout.record()
    found = to_ledger.decisions(entries, status)
    assert [it.facts.id for it in found] == [*rollout.world.ledger]
    assert rollout.states() == {"a": "staged", "b": "serving"}
    assert "nothing to add" in rollout.run()


def test_a_chain_that_is_not_intact_is_refused(rollout: Rollout) -> None:
    through(rollout)
    first = next(iter(rollout.world.ledger))
    rollout.changed = {first: {"reason": "approved"}}
    assert "is changed" in rollout.run(status=1)
    assert rollout.places() == []
    del rollout.world.ledger[first]
    assert "nothing was recorded" in rollout.run(status=1)
    assert rollout.places() == []


def test_records_that_were_written_anew_after_they_were_copied_are_refused(
    rollout: Rollout,
) -> None:
    rollout.step()
    rollout.run()
    before = rollout.entries
    other = Rollout(rollout.root)
    other.world.settings = replace(other.world.settings, min_intervals=3)
    other.step()
    assert [*other.world.ledger] == [*rollout.world.ledger]
    rollout.world = other.world
    told = rollout.run(status=1)
    assert "the cluster's records are others now" in told
    assert rollout.entries == before


@pytest.mark.parametrize(
    "change",
    [
        {"weights": None},
        {"facts": {"now": 1e300, "started": 0}},
        {"facts": []},
        {"order": {"kind": "pause"}},
        {"settings": {"stable": "a"}},
        {"format": 9},
    ],
)
def test_a_linked_record_that_is_no_decision_is_named(
    rollout: Rollout, change: dict[str, Any]
) -> None:
    """Who can write the status can link anything."""
    rollout.step()
    ((name, entry),) = rollout.world.ledger.items()
    rollout.world.ledger[name] = entry | change
    assert rollout.world.status
    head = record.digest(rollout.world.ledger[name])
    rollout.world.status = replace(rollout.world.status, head=head)
    told = rollout.run(status=1)
    assert f"{name} is not the record of a decision" in told
    assert rollout.places() == []


def test_names_of_revisions_cannot_move_the_cursor(rollout: Rollout) -> None:
    rollout.world.settings = replace(rollout.world.settings, canary="b\x1b[2J")
    rollout.world.route = replace(rollout.world.route, weights={"a": 100})
    rollout.step()
    told = rollout.run(status=2)
    assert "\x1b" not in told
    assert "b\\u001b[2J: income has no revision" in told


def test_a_broken_ledger_is_refused(rollout: Rollout) -> None:
    rollout.step()
    (rollout.root / MODEL / "00000002.json").unlink()
    assert "nothing was added" in rollout.run(status=1)


def test_revisions_that_the_ledger_does_not_know_are_named_and_nothing_is_written(
    rollout: Rollout, tmp_path: Path
) -> None:
    through(rollout)
    rollout.root = tmp_path / "other"
    rollout.ledger.register(MODEL, "b", subject(), WORD)
    told = rollout.run(status=2)
    assert "a: income has no revision a in the ledger" in told
    assert (
        "b: registered to shadow is not an allowed transition; stage it first" in told
    )
    assert rollout.states() == {"b": "registered"}


def test_a_decision_that_is_being_carried_out_is_not_copied(rollout: Rollout) -> None:
    rollout.step()
    status, entries = rollout.record()
    assert status
    (one,) = to_ledger.decisions(entries, status)
    rollout.step()
    later, entries = rollout.record()
    newest = [*rollout.world.ledger.values()][-1]
    assert later
    intent = SimpleNamespace(record=newest)
    under_way = SimpleNamespace(intent=intent, pending=())
    assert to_ledger.decisions(entries, under_way) == [one]  # type: ignore[arg-type]


def test_a_decision_that_waits_for_the_clusters_ledger_is_copied(
    rollout: Rollout,
) -> None:
    rollout.world.refuses = lambda: True
    rollout.step()
    assert rollout.world.status
    assert rollout.world.status.pending
    rollout.run()
    assert rollout.places() == [("a", "serving"), ("b", "shadow")]


def test_the_stacks_own_ledger_is_the_default(
    rollout: Rollout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout.step()
    monkeypatch.setattr("stacks.files.ROOT", tmp_path)
    args = SimpleNamespace(served=lambda _: MODEL)
    settings = SimpleNamespace(
        models={"m": args}, ledger=SimpleNamespace(place="ledger")
    )
    monkeypatch.setattr(ledger_command.stack_settings, "load", lambda *_: settings)
    done = CliRunner().invoke(cli, ["rollout", "record", "m"])
    assert "2 entries added" in done.output
    assert len(rollout.places()) == 2
