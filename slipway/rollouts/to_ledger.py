"""A rollout's decisions, and the states into which they bring revisions.

The states are those of the ledger of model versions: shadow, canary, serving, and back
to staged. `ledger_plan` says which entries follow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rollout import decided, record
from rollout.decided import Decided
from rollout.objects import ENTRY_KEY, Object
from rollout.record import Entry
from rollout.status import Status
from rollout.verdict import Verdict

from slipway.ledger.lifecycle import CANARY, SERVING, SHADOW, STAGED
from slipway.printable import printable
from slipway.rollouts import chain
from toolchain.errors import OperatorError

BY_GATES, BY_DEADLINE = "the rollout's gates", "the rollout's deadline"


@dataclass(frozen=True)
class Decision:
    """One decision of the controller, which was carried out."""

    facts: Decided
    digest: str
    by: str
    """The person, or what of the rollout has decided."""
    entry: Entry
    """Its record."""

    @property
    def id(self) -> str:
        return self.facts.id

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
    def differences(self) -> list[str]:
        """What of the record does not follow from its own facts."""
        try:
            _, found = record.recompute(self.entry)
        except (*chain.FORMS, ArithmeticError) as error:
            return [f"its facts are none: {error!r}"]
        return found

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


def decisions(config_maps: Iterable[Object], status: Status | None) -> list[Decision]:
    """The decisions of a checked record, the oldest first.

    Not the one that is being carried out, which may yet be called off. OperatorError
    if one is none: links say nothing about what stands in a record.
    """
    waiting = status.pending if status else ()
    entries = chain.in_order((*_written(config_maps), *waiting))
    intent = status.intent if status else None
    if intent:
        entries.pop(record.digest(intent.record), None)
    return [_decision(digest, it) for digest, it in entries.items()]


def _decision(digest: str, entry: Entry) -> Decision:
    try:
        if entry["format"] != record.FORMAT:
            raise ValueError(f"format {entry['format']}")  # noqa: TRY301
        found = Decision(decided.of(entry), digest, _by(entry), entry)
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


def _written(config_maps: Iterable[Object]) -> Iterator[Entry]:
    for one in config_maps:
        yield json.loads(one["data"][ENTRY_KEY])


def _by(entry: Entry) -> str:
    if entry["order"]:
        return str(entry["order"]["who"])
    return BY_DEADLINE if entry["verdict"] == Verdict.EXPIRED else BY_GATES
