"""What `slipway rollout record` refuses to copy, and how a person answers it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rollout import record
from rollout.objects import Names
from rollout.status import OrderKind

from slipway.cli import cli
from slipway.rollouts import ledger_plan, to_ledger
from tests.support.ledgers import subject
from tests.support.rollout_ledger import (
    MODEL,
    SERVER,
    WORD,
    Rollout,
    begun,
    through,
)
from tests.support.rollouts import BAD, LITTLE


@pytest.fixture
def rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    return begun(tmp_path, monkeypatch)


def ids(rollout: Rollout) -> list[str]:
    return [*rollout.world.ledger]


def forge(rollout: Rollout, **change: Any) -> str:
    """Change the newest decision, and link it in the status; return its id."""
    name = ids(rollout)[-1]
    rollout.world.ledger[name] |= change
    assert rollout.world.status
    head = record.digest(rollout.world.ledger[name])
    rollout.world.status = replace(rollout.world.status, head=head)
    return name


# Retired revisions


def test_a_retired_revision_that_serves_again_is_recorded(rollout: Rollout) -> None:
    through(rollout)
    rollout.run()
    rollout.ledger.move(MODEL, "a", "retired", WORD)
    rollout.order(OrderKind.BACK)
    told = rollout.run(status=2)
    assert f"a: alice has entered retired (entry {len(rollout.entries)}, " in told, (
        "nobody knows whether it was retired before or since"
    )
    newest = ids(rollout)[-1]
    assert f"the decision {newest} (2027-" in told
    assert f"Give the first decision to copy, such as --since {newest}" in told
    assert "2 entries added" in rollout.run("--since", newest)
    assert rollout.states() == {"a": "serving", "b": "staged"}
    # From here on, the copied entries say how far it has come.
    assert "nothing to add" in rollout.run()
    rollout.order(OrderKind.PROMOTE)
    rollout.run()
    assert rollout.states() == {"a": "staged", "b": "serving"}


def test_a_canary_that_was_retired_since_it_was_taken_back_stays_so(
    rollout: Rollout,
) -> None:
    rollout.step()
    rollout.step()
    rollout.run()
    rollout.step(BAD)
    rollout.ledger.move(MODEL, "b", "staged", WORD)
    rollout.ledger.move(MODEL, "b", "retired", WORD)
    assert "nothing to add" in rollout.run()
    assert rollout.states() == {"a": "serving", "b": "retired"}


def test_a_decision_stages_nothing(rollout: Rollout, tmp_path: Path) -> None:
    """That b may be deployed is a person's word."""
    rollout.step()
    rollout.step()
    rollout.step(BAD)
    rollout.root = tmp_path / "other"
    rollout.ledger.register(MODEL, "a", subject(), WORD)
    rollout.ledger.stage(MODEL, "a", WORD)
    rollout.ledger.register(MODEL, "b", subject(1), WORD)
    assert "b: registered to shadow is not an allowed" in rollout.run(status=2)
    rollout.run("--since", ids(rollout)[-1])
    assert rollout.states() == {"a": "serving", "b": "registered"}


# What people enter, and the order of both


def test_what_a_person_has_entered_of_the_same_end_stands(rollout: Rollout) -> None:
    through(rollout)
    for revision, state in (("b", "serving"), ("a", "serving"), ("a", "retired")):
        rollout.ledger.move(MODEL, revision, state, WORD)
    before = rollout.entries
    assert "4 decisions, nothing to add" in rollout.run()
    assert rollout.entries == before


def test_what_a_person_has_entered_before_a_rollout_is_its_beginning(
    rollout: Rollout,
) -> None:
    rollout.ledger.move(MODEL, "a", "serving", WORD)
    through(rollout)
    assert "4 entries added" in rollout.run()
    assert rollout.states() == {"a": "staged", "b": "serving"}


@pytest.mark.parametrize("now", [1000, 1_800_000_000])
def test_no_clock_says_whether_a_person_or_the_rollout_was_later(
    rollout: Rollout, now: int
) -> None:
    rollout.world.now = now
    through(rollout)
    rollout.ledger.move(MODEL, "b", "serving", WORD)
    rollout.ledger.move(MODEL, "b", "staged", WORD)
    before = rollout.entries
    told = rollout.run(status=2)
    assert "b: alice has entered staged (entry 6, " in told
    assert "a: " not in told
    assert rollout.entries == before
    # The rollout was later, or the person, and only its next decision is copied.
    first, *_, last = ids(rollout)
    rollout.run("--since", first if now == 1000 else last)
    assert rollout.states() == {"a": "staged", "b": "serving"}
    places = rollout.places()[2:]
    assert (("b", "shadow") in places) == (now == 1000)


def test_an_unknown_decision_is_named_with_those_that_there_are(
    rollout: Rollout,
) -> None:
    assert "(none)" in rollout.run("--since", "m-1-1", status=2)
    through(rollout)
    first, *_, last = ids(rollout)
    for option in ("--since", "--accept"):
        told = rollout.run(option, "m-1-1", status=2)
        assert f"{option} m-1-1: the rollout has no decision of this id" in told
        assert f"({first} to {last})" in told
    assert rollout.places() == []


# Verdicts that do not follow


def test_a_decision_that_does_not_follow_from_its_record_is_refused(
    rollout: Rollout,
) -> None:
    rollout.step()
    rollout.step(LITTLE)
    assert len(ids(rollout)) == 1
    name = forge(rollout, weights={"before": 0, "after": 100})
    told = rollout.run(status=1)
    assert f"the decision {name} does not follow from its record (weights: " in told
    assert f"copy it with a note: --accept {name}" in told
    assert rollout.places() == []
    rollout.run("--accept", name)
    decision = rollout.entries[-1].details["decision"]
    assert decision["differs"].startswith("weights: the entry says {'after': 100, ")
    shown = CliRunner().invoke(
        cli, ["ledger", "history", MODEL, "--ledger", str(rollout.root)]
    )
    assert "which does not follow from its record" in shown.output


def test_an_order_that_asked_for_something_else_is_refused(rollout: Rollout) -> None:
    rollout.step()
    rollout.run()
    rollout.order(OrderKind.PROMOTE, weight=5)
    name = forge(rollout, weights={"before": 0, "after": 100})
    assert f"{name} does not follow" in rollout.run(status=1)
    assert len(rollout.places()) == 2


@pytest.mark.parametrize(
    "facts", [{"counts": 1}, {"ready": [1]}, {"begun": "x"}, {"more": None}]
)
def test_facts_that_are_none_are_refused(
    rollout: Rollout, facts: dict[str, Any]
) -> None:
    rollout.step()
    rollout.step()
    rollout.run()
    rollout.step(BAD)
    (*_, entry) = rollout.world.ledger.values()
    forge(rollout, facts=entry["facts"] | facts)
    told = rollout.run(status=1)
    assert "nothing was recorded" in told
    assert rollout.states() == {"a": "serving", "b": "canary"}


def test_what_is_copied_already_is_not_computed_again(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later version of the program may come to other words."""
    through(rollout)
    rollout.run()
    monkeypatch.setattr(record, "recompute", lambda _: (None, ["other words"]))
    assert "nothing to add" in rollout.run()
    rollout.order(OrderKind.PAUSE)
    assert "nothing to add" in rollout.run()


# Several servers


def test_an_entry_says_whose_rollout_has_decided(rollout: Rollout) -> None:
    through(rollout)
    rollout.run()
    servers = {it.details["decision"]["server"] for it in rollout.entries[4:]}
    assert servers == {SERVER}


def test_what_was_copied_before_entries_named_the_server_counts(
    rollout: Rollout,
) -> None:
    through(rollout)
    status, entries = rollout.record()
    found = to_ledger.decisions(entries, status)
    for one in ledger_plan.plan(rollout.ledger.read(MODEL), found, SERVER):
        rollout.ledger.move(
            MODEL, one.revision, one.state, WORD, decision=one.decision.details
        )
    assert "nothing to add" in rollout.run()
    # It was this server's, by the name in its ids, and not one of another name.
    rollout.order(OrderKind.BACK)
    assert "2 entries added" in rollout.run()


def elsewhere(rollout: Rollout, namespace: str = "others") -> None:
    """From now on the command sees another server's rollout of the same ledger."""
    other = Rollout(rollout.root, now=rollout.world.now + 10_000)
    rollout.world, rollout.names = other.world, Names(namespace, "m")


def test_two_servers_do_not_write_over_each_other(rollout: Rollout) -> None:
    through(rollout)
    rollout.run()
    before = rollout.entries
    elsewhere(rollout)
    rollout.step()
    rollout.step()
    told = rollout.run(status=2)
    assert (
        f"a: entry 9 (staged) is of another server's rollout, {SERVER}, and two would "
        "write over each other; give each a ledger of its own (--ledger), or" in told
    )
    assert f"`slipway ledger move {MODEL} a staged --why ...`" in told
    assert "b: entry 8 (serving)" in told
    assert rollout.entries == before


def test_a_server_that_takes_over_goes_on_once_a_person_has_said_so(
    rollout: Rollout,
) -> None:
    rollout.step()
    rollout.step()
    rollout.run()
    elsewhere(rollout)
    through(rollout)
    rollout.run(status=2)
    for revision in "ab":
        rollout.ledger.move(MODEL, revision, "staged", WORD)
    assert "clocks do not say" in rollout.run(status=2)
    assert "5 entries added" in rollout.run("--since", ids(rollout)[0])
    assert rollout.states() == {"a": "staged", "b": "serving"}
    assert "nothing to add" in rollout.run()


def test_servers_of_other_revisions_share_a_ledger(rollout: Rollout) -> None:
    through(rollout)
    rollout.run()
    elsewhere(rollout)
    for number, name in enumerate("cd"):
        rollout.ledger.register(MODEL, name, subject(number + 2), WORD)
        rollout.ledger.stage(MODEL, name, WORD)
    rollout.world.settings = replace(rollout.world.settings, stable="c", canary="d")
    rollout.world.route = replace(rollout.world.route, weights={"c": 100, "d": 0})
    rollout.step()
    assert "2 entries added" in rollout.run()
    assert rollout.states() == {
        "a": "staged",
        "b": "serving",
        "c": "serving",
        "d": "shadow",
    }


def test_decisions_of_the_same_id_are_not_taken_for_each_other(
    rollout: Rollout,
) -> None:
    """The ledger is shared, and both servers are called m and began at one time."""
    now = rollout.world.now
    rollout.step()
    rollout.run()
    other = Rollout(rollout.root, now=now)
    other.world.settings = replace(other.world.settings, min_intervals=3)
    rollout.world, rollout.names = other.world, Names("others", "m")
    rollout.step()
    assert "1 decisions, nothing to add" in rollout.run()
    rollout.order(OrderKind.PROMOTE, weight=5)
    told = rollout.run(status=2)
    assert "is of another server's rollout" in told
    assert "others now" not in told


def test_records_written_anew_are_left_as_the_ledger_has_them(
    rollout: Rollout,
) -> None:
    rollout.step()
    rollout.run()
    other = Rollout(rollout.root)
    other.world.settings = replace(other.world.settings, min_intervals=3)
    rollout.world = other.world
    rollout.step()
    rollout.step(LITTLE)
    rollout.order(OrderKind.PROMOTE, weight=5)
    assert "--since ID leaves the decisions before ID" in rollout.run(status=1)
    rollout.run("--since", ids(rollout)[-1])
    assert rollout.states() == {"a": "serving", "b": "canary"}
