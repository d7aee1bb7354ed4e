"""Decisions of a rollout as entries of the model ledger."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rollout import record
from rollout.objects import ENTRY_KEY, Names
from rollout.protocol import give, tick
from rollout.status import OrderKind

from slipway.cli import cli
from slipway.ledger import chain, keys
from slipway.ledger.entry import Entry
from slipway.ledger.ledger import Ledger, Word
from slipway.ledger.store import FolderStore
from slipway.rollouts import ledger_command, to_ledger
from slipway.rollouts.to_ledger import BY_GATES
from tests.support.ledgers import subject
from tests.support.rollouts import BAD, GOOD, LITTLE, SETTINGS, World

MODEL = "income"
NOON = 1_800_000_000
"""In 2027: decisions are younger than what a test enters by hand."""
WORD = Word("alice", "tests are green")


class Rollout:
    """A rollout in memory, a ledger in a folder, and the command between them."""

    def __init__(self, root: Path, now: int = NOON) -> None:
        self.world = World(settings=replace(SETTINGS, shadow_percent=20), now=now)
        self.root = root
        self.changed: dict[str, Any] = {}

    @property
    def ledger(self) -> Ledger:
        return Ledger(FolderStore(self.root), keys.load_private(keys.default_key()))

    def step(self, counts: Any = GOOD) -> None:
        """One tick; the step that follows a decision has few counts."""
        looks = iter([counts])
        self.world.counts = lambda: {"errors": next(looks, LITTLE)}
        self.world.run(tick())

    def order(self, kind: OrderKind, **more: Any) -> None:
        self.world.run(give(kind, who="ann", why="lunch", **more))
        self.step(LITTLE)

    def record(self) -> Any:
        status = self.world.status
        names = Names("models", "m")
        found = [names.entry(copy.deepcopy(it)) for it in self.world.ledger.values()]
        for one in found:
            entry = json.loads(one["data"][ENTRY_KEY])
            if entry["id"] in self.changed:
                entry |= self.changed[entry["id"]]
                one["data"][ENTRY_KEY] = json.dumps(entry)
        return status, found

    def run(self, *words: str, status: int = 0) -> str:
        command = ["rollout", "record", "m", "--ledger", str(self.root), *words]
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == status, done.output
        return done.output

    @property
    def entries(self) -> tuple[Entry, ...]:
        key = keys.load_trusted([keys.public_file(keys.default_key())])
        found = chain.read(FolderStore(self.root), MODEL, trusted=key)
        assert found.broken is None
        return found.entries

    def places(self) -> list[tuple[str, str]]:
        """Revision and state of each entry after those of the set-up."""
        found = [(it.details["revision"], it.details["state"]) for it in self.entries]
        return found[4:]

    def states(self) -> dict[str, str]:
        found = chain.read(FolderStore(self.root), MODEL).history.revisions
        return {name: it.state for name, it in found.items()}


@pytest.fixture
def rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """Both revisions are staged, and nothing has been decided."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    keys.make(keys.default_key())
    found = Rollout(tmp_path / "ledger")
    for number, name in enumerate("ab"):
        found.ledger.register(MODEL, name, subject(number), WORD)
        found.ledger.stage(MODEL, name, WORD)

    @contextmanager
    def opened(*_: Any) -> Iterator[Any]:
        yield SimpleNamespace(record=found.record)

    args = SimpleNamespace(served=lambda _: MODEL)
    settings = SimpleNamespace(models={"m": args}, ledger=None)
    monkeypatch.setattr(ledger_command, "opened", opened)
    monkeypatch.setattr(ledger_command.stack_settings, "load", lambda *_: settings)
    return found


def through(found: Rollout) -> None:
    """Copies, 5 %, 25 %, all."""
    for _ in range(3):
        found.step()
    found.step()


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
    moves = to_ledger.plan(ledger.read(MODEL), decisions)
    for one in moves[:written]:
        ledger.move(
            MODEL,
            one.revision,
            one.state,
            Word("carol", one.decision.reason),
            decision=one.decision.details,
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
    moves = to_ledger.plan(ledger.read(MODEL), decisions)
    added = []
    for _ in range(2):
        for one in moves:
            word = Word("carol", one.decision.reason)
            details = one.decision.details
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


def test_what_a_person_has_entered_since_stands(
    rollout: Rollout, tmp_path: Path
) -> None:
    """Decisions of 1970, and the ledger's entries are of today."""
    rollout.world.now = 1000
    through(rollout)
    rollout.ledger.move(MODEL, "b", "serving", WORD)
    rollout.ledger.move(MODEL, "b", "staged", WORD)
    rollout.run()
    assert rollout.states() == {"a": "staged", "b": "staged"}
    assert ("b", "canary") not in rollout.places()


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
