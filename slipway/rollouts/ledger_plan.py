"""The entries that a model's ledger lacks of a rollout's decisions.

A decision is copied once: its entries name it, its digest and the server whose rollout
decided it. Copying goes on after the last decision that was copied, or from the one
that a person names. The order is that of the links in both records, and no clock's.
What could say something that did not happen is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.ledger.chain import Chain
from slipway.ledger.entry import Entry
from slipway.ledger.lifecycle import (
    ACTIONS,
    REGISTERED,
    RETIRED,
    STAGED,
    TRANSITIONS,
    USED_AGAIN,
    decision_of,
)
from slipway.printable import printable
from slipway.rollouts.to_ledger import Decision
from toolchain.errors import OperatorError, WrongInputError

SETUP = (ACTIONS[REGISTERED], ACTIONS[STAGED])
"""Actions before a revision is used, which say nothing about a rollout."""
DIFFERENCE_LETTERS = 500


@dataclass(frozen=True)
class Move:
    """An entry to write."""

    decision: Decision
    revision: str
    state: str
    server: str
    """STACK/NAMESPACE/SERVER whose rollout has decided."""
    differs: str = ""
    """What of the decision's record does not follow from its facts; accepted."""

    @property
    def details(self) -> dict[str, str]:
        """What the entry says of its decision (contracts/model_ledger.yaml)."""
        found = self.decision.details | {"server": self.server}
        return found | ({"differs": self.differs} if self.differs else {})


def plan(
    ledger: Chain,
    found: Sequence[Decision],
    server: str,
    *,
    since: str = "",
    accepted: Collection[str] = (),
) -> list[Move]:
    """The entries that the ledger lacks, in order.

    since: id of the first decision to copy, later than the last one that was copied.
    What people have entered is older than it, and stands for the decisions before it.
    accepted: ids of decisions that are copied although they do not follow from their
    records.

    OperatorError if the ledger has another record of a decision, or a decision does not
    follow from its record. WrongInputError for ids that are no decision's, and for all
    revisions that may not come into a state, such as one that is not registered.
    """
    places = {it.id: place for place, it in enumerate(found)}
    for option, names in (
        ("--since", [since] if since else []),
        ("--accept", accepted),
    ):
        for name in names:
            if name not in places:
                known = f"{found[0].id} to {found[-1].id}" if found else "none"
                raise WrongInputError(
                    f"{ledger.model}: {option} {printable(name)}: the rollout has no "
                    f"decision of this id; give one of them ({printable(known)})"
                )
    begin = places.get(since, 0)  # of the decisions before it nothing is asked
    copied = _copied(ledger, found[begin:], server)
    begin = max([begin, *(places[it] for it in copied)])
    moves = _moves(ledger, found[begin:], server, copied, hand_is_older=bool(since))
    return [*_proven(ledger, moves, accepted)]


def _moves(
    ledger: Chain,
    found: Sequence[Decision],
    server: str,
    copied: Mapping[str, set[tuple[str, str]]],
    *,
    hand_is_older: bool,
) -> list[Move]:
    """The moves of decisions that are not copied; WrongInputError with all problems."""
    wanted = {it.id: _rest([*it.states], copied.get(it.id, set())) for it in found}
    states = {name: it.state for name, it in ledger.history.revisions.items()}
    problems: dict[str, str] = {}
    stands: set[str] = set()
    by_hand = {} if hand_is_older else _by_hand(ledger, server)
    for revision, entry in by_hand.items():
        own = [
            (it, state)
            for it in found
            for name, state in wanted[it.id]
            if name == revision
        ]
        if not own or _steps(entry.details["state"], own[-1][1]) == []:
            stands.add(revision)
        elif entry.details["state"] != own[0][1]:
            problems[revision] = _unordered(entry, *own[-1], first=own[0][0])
    moves: list[Move] = []
    for decision in found:
        for revision, state in wanted[decision.id]:
            if revision in stands or revision in problems:
                continue
            steps = _steps(states.get(revision), state)
            if steps and (other := _held(ledger, revision, server)):
                problems[revision] = _of_another(ledger.model, other)
            elif steps is None:
                problems[revision] = ledger.history.refusal(
                    revision, state, decided=True
                )
            else:
                moves += [Move(decision, revision, it, server) for it in steps]
                states[revision] = steps[-1] if steps else states[revision]
    if problems:
        told = (printable(f"{name}: {it}") for name, it in problems.items())
        lines = "".join(f"\n  {it}" for it in told)
        raise WrongInputError(f"{ledger.model}: nothing was recorded:{lines}")
    return moves


def _proven(
    ledger: Chain, moves: Sequence[Move], accepted: Collection[str]
) -> Iterator[Move]:
    """The moves of decisions that follow from their records, or are accepted."""
    known: dict[str, str] = {}
    for one in moves:
        decision = one.decision
        if decision.id not in known:
            known[decision.id] = "; ".join(decision.differences)
        differs = known[decision.id]
        if differs and decision.id not in accepted:
            name = printable(decision.id)
            raise OperatorError(
                f"{ledger.model}: the decision {name} does not follow from its record "
                f"({printable(differs)}); nothing was recorded. Keep the record as "
                "evidence. If another version of the controller has decided, copy it "
                f"with a note: --accept {name}"
            )
        yield Move(
            decision, one.revision, one.state, one.server, differs[:DIFFERENCE_LETTERS]
        )


def _copied(
    ledger: Chain, found: Sequence[Decision], server: str
) -> dict[str, set[tuple[str, str]]]:
    """Revisions and states by the decision that they were copied from."""
    digests = {it.id: it.digest for it in found}
    copied: dict[str, set[tuple[str, str]]] = {}
    for entry in ledger.entries:
        said = decision_of(entry.details)
        if said is None or said["id"] not in digests or not _is_of(said, server):
            continue
        if said["sha256"] != digests[said["id"]]:
            raise OperatorError(
                f"{ledger.model}: entry {entry.sequence} of the ledger was copied from "
                f"the decision {said['id']} with the digest {said['sha256']}, and the "
                f"cluster has it with {digests[said['id']]}: the cluster's records are "
                "others now; nothing was recorded, keep both as evidence. --since ID "
                "leaves the decisions before ID as the ledger has them"
            )
        place = (entry.details["revision"], entry.details["state"])
        copied.setdefault(said["id"], set()).add(place)
    return copied


def _is_of(said: Mapping[str, str], server: str) -> bool:
    """Whether a server's rollout has decided it; older entries name only the server."""
    own = server.rpartition("/")[2]
    return said.get("server", server) == server and (
        said["id"].rsplit("-", 2)[0] == own
    )


def _by_hand(ledger: Chain, server: str) -> dict[str, Entry]:
    """What people have entered of revisions in use since the last copy, the newest."""
    found: dict[str, Entry] = {}
    for entry in ledger.entries:
        said = decision_of(entry.details)
        if said is None and entry.action not in SETUP:
            found[entry.details["revision"]] = entry
        elif said and _is_of(said, server):
            found = {}
    return found


def _held(ledger: Chain, revision: str, server: str) -> Entry | None:
    """The entry by which another server's rollout uses the revision, if one does."""
    for entry in reversed(ledger.entries):
        if entry.details["revision"] == revision and entry.action not in SETUP:
            said = decision_of(entry.details)
            return entry if said and not _is_of(said, server) else None
    return None


def _of_another(model: str, entry: Entry) -> str:
    said = decision_of(entry.details) or {}
    other = said.get("server") or said["id"].rsplit("-", 2)[0]
    return (
        f"entry {entry.sequence} ({entry.details['state']}) is of another server's "
        f"rollout, {other}, and two would write over each other; give each a ledger of "
        "its own (--ledger), or enter that the other one has ended: `slipway ledger "
        f"move {model} {entry.details['revision']} staged --why ...`"
    )


def _unordered(entry: Entry, last: Decision, state: str, *, first: Decision) -> str:
    return (
        f"{entry.actor} has entered {entry.details['state']} (entry {entry.sequence}, "
        f"{entry.time[:19]}Z) since the last copy, and the decision {last.id} "
        f"({last.moment[:19]}Z) says {state}; clocks do not say which holds. Give the "
        f"first decision to copy, such as --since {first.id}: what was entered by hand "
        "stands for those before it"
    )


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
    if state == RETIRED:
        # One that gets no requests any more stays retired.
        return [wanted] if wanted in USED_AGAIN else []
    if state == REGISTERED:
        # A decision is no approval: only a person stages.
        return [] if wanted == STAGED else None
    return [wanted] if wanted in TRANSITIONS[state] else [STAGED, wanted]
