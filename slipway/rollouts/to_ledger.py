"""A rollout's decisions as entries of the ledger of model versions.

A decision brings revisions into states: shadow, canary, serving, and back to staged. An
entry is written for each new state and names the decision that it comes from, so a
second run writes nothing. What a person has entered after a decision stands.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout import decided, record
from rollout.decided import Decided
from rollout.objects import ENTRY_KEY, Object
from rollout.record import Entry
from rollout.status import Status
from rollout.verdict import Verdict

from slipway.ledger.chain import Chain
from slipway.ledger.lifecycle import (
    ACTIONS,
    CANARY,
    REGISTERED,
    SERVING,
    SHADOW,
    STAGED,
    TRANSITIONS,
)
from slipway.printable import printable
from slipway.rollouts.live import number
from toolchain.errors import OperatorError, WrongInputError

SETUP = (ACTIONS[REGISTERED], ACTIONS[STAGED])
"""Actions before a revision is used, which say nothing about a rollout."""
BY_GATES, BY_DEADLINE = "the rollout's gates", "the rollout's deadline"


@dataclass(frozen=True)
class Decision:
    """One decision of the controller, which was carried out."""

    facts: Decided
    digest: str
    by: str
    """The person, or what of the rollout has decided."""

    @property
    def moment(self) -> str:
        """RFC 3339 in UTC, as the ledger's entries have it."""
        given = time.gmtime(self.facts.time)
        return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", given)

    @property
    def details(self) -> dict[str, str]:
        """What an entry says of it (contracts/model_ledger.yaml)."""
        return {
            "id": self.facts.id,
            "sha256": self.digest,
            "time": self.moment,
            "by": self.by,
        }

    @property
    def reason(self) -> str:
        it = self.facts
        copies = f" with copies of {it.mirror} %" if it.mirror else ""
        return f"{it.canary} from {it.start} % to {it.goal} %{copies}: {it.reason}"

    @property
    def states(self) -> Iterator[tuple[str, str]]:
        """Revisions and the states that they come into, in order."""
        it = self.facts
        if not it.moves:
            return
        if it.start < 100:
            yield it.stable, SERVING  # as it was until now
        if it.goal == 100:
            yield it.canary, SERVING
            yield it.stable, STAGED
            return
        weightless = SHADOW if it.mirror else STAGED
        yield it.canary, CANARY if it.goal else weightless
        if it.start == 100:
            yield it.stable, SERVING


@dataclass(frozen=True)
class Move:
    """An entry to write."""

    decision: Decision
    revision: str
    state: str


def decisions(config_maps: Iterable[Object], status: Status | None) -> list[Decision]:
    """The decisions of a checked record, the oldest first.

    Not the one that is being carried out, which may yet be called off. OperatorError
    if one is none: links say nothing about what stands in a record.
    """
    entries: dict[str, Entry] = {}
    for one in (*_written(config_maps), *(status.pending if status else ())):
        entries[record.digest(one)] = one
    intent = status.intent if status else None
    if intent:
        entries.pop(record.digest(intent.record), None)
    return [_decision(it, entries[it]) for it in _in_order(entries)]


def plan(ledger: Chain, found: Sequence[Decision]) -> list[Move]:
    """The entries that the ledger lacks, in order.

    OperatorError if the ledger has another record of a decision; WrongInputError lists
    all states into which a revision may not come, such as one that is not registered.
    """
    copied = _copied(ledger, found)
    states = {name: it.state for name, it in ledger.history.revisions.items()}
    by_hand = _by_hand(ledger)
    moves: list[Move] = []
    problems: dict[str, str] = {}
    first = max((n for n, it in enumerate(found) if it.facts.id in copied), default=0)
    for decision in found[first:]:
        done = copied.get(decision.facts.id, set())
        for revision, state in _rest([*decision.states], done):
            if by_hand.get(revision, "") > decision.moment:
                continue
            steps = _steps(states.get(revision), state)
            if steps is None:
                refusal = ledger.history.refusal(revision, state)
                problems.setdefault(revision, refusal or f"it is {states[revision]}")
                continue
            moves += [Move(decision, revision, it) for it in steps]
            states[revision] = state
    if problems:
        reasons = (printable(f"{name}: {it}") for name, it in problems.items())
        lines = "".join(f"\n  {it}" for it in reasons)
        raise WrongInputError(f"{ledger.model}: nothing was recorded:{lines}")
    return moves


def _decision(digest: str, entry: Entry) -> Decision:
    try:
        if entry["format"] != record.FORMAT:
            raise ValueError(f"format {entry['format']}")  # noqa: TRY301
        found = Decision(decided.of(entry), digest, _by(entry))
        # Computed from its fields: an error belongs here, before any entry is written.
        _ = found.details, [*found.states], found.reason
    except (
        AttributeError,
        KeyError,
        OSError,
        TypeError,
        ValueError,
        OverflowError,
    ) as error:
        raise OperatorError(
            f"{printable(entry['id'])} is not the record of a decision "
            f"({printable(repr(error))}); nothing was recorded"
        ) from None
    return found


def _in_order(entries: Mapping[str, Entry]) -> list[str]:
    """Digests by their links: a clock that was set back changes no order.

    Chains without a link between them are in the order in which they began.
    """
    places: dict[str, tuple[tuple[int, int], int]] = {}
    for newest in entries:
        way, digest = [], newest
        while digest in entries and digest not in places:
            way.append(digest)
            digest = entries[digest]["previous"]
        for one in reversed(way):
            begun = (number(entries[one]), -1)
            first, place = places.get(entries[one]["previous"], begun)
            places[one] = (first, place + 1)
    return sorted(entries, key=places.__getitem__)


def _written(config_maps: Iterable[Object]) -> Iterator[Entry]:
    for one in config_maps:
        yield json.loads(one["data"][ENTRY_KEY])


def _by(entry: Entry) -> str:
    if entry["order"]:
        return str(entry["order"]["who"])
    return BY_DEADLINE if entry["verdict"] == Verdict.EXPIRED else BY_GATES


def _copied(
    ledger: Chain, found: Sequence[Decision]
) -> dict[str, set[tuple[str, str]]]:
    """Revisions and states by the decision that they were copied from."""
    digests = {it.facts.id: it.digest for it in found}
    copied: dict[str, set[tuple[str, str]]] = {}
    for entry in ledger.entries:
        said = _said(entry.details)
        if said is None or said["id"] not in digests:
            continue
        if said["sha256"] != digests[said["id"]]:
            raise OperatorError(
                f"{ledger.model}: entry {entry.sequence} of the ledger was copied from "
                f"the decision {said['id']} with the digest {said['sha256']}, and the "
                f"cluster has it with {digests[said['id']]}: the cluster's records are "
                "others now; nothing was recorded, keep both as evidence"
            )
        place = (entry.details["revision"], entry.details["state"])
        copied.setdefault(said["id"], set()).add(place)
    return copied


def _said(details: Mapping[str, Any]) -> Mapping[str, str] | None:
    found = details.get("decision")
    is_whole = isinstance(found, dict) and {"id", "sha256"} <= found.keys()
    return found if is_whole else None


def _by_hand(ledger: Chain) -> dict[str, str]:
    """When a person has last entered how a revision is used, by revision."""
    return {
        entry.details["revision"]: entry.time
        for entry in ledger.entries
        if entry.action not in SETUP and _said(entry.details) is None
    }


def _rest(
    states: Sequence[tuple[str, str]], done: set[tuple[str, str]]
) -> Sequence[tuple[str, str]]:
    """Those after the last one that was copied: the run before may have been killed."""
    last = max((n for n, it in enumerate(states) if it in done), default=-1)
    return states[last + 1 :]


def _steps(state: str | None, wanted: str) -> list[str] | None:
    """States on the way, which may lead over `staged`; None if there is none."""
    if state is None:
        return None
    if state == wanted:
        return []
    if wanted in TRANSITIONS[state]:
        return [wanted]
    is_used = state != REGISTERED and STAGED in TRANSITIONS[state]
    return [STAGED, wanted] if is_used else None
