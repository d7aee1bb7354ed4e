"""The state of a rollout: read and written with its resourceVersion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from rollout.decided import Decided


class Phase(StrEnum):
    """Whether the gates still decide."""

    RUNNING = "running"
    PROMOTED = "promoted"
    """The canary has all requests."""
    BACK = "back"
    """Stable has all requests again."""


class OrderKind(StrEnum):
    """The kinds of a person's orders."""

    PAUSE = "pause"
    PROMOTE = "promote"
    BACK = "back"
    RESUME = "resume"
    """Does not stand: the gates decide again, by the settings as they are now and from
    the weight that the route has now."""
    APPROVE = "approve"
    """Does not stand: the gates go on deciding, and may take the one step that needs a
    person's approval. Any later order ends it."""


@dataclass(frozen=True)
class Order:
    """A person's order, from `slipway rollout`."""

    number: int
    """Counts up; 1 is the first."""
    kind: OrderKind
    who: str
    why: str
    time: int
    """Unix seconds."""
    weight: int = 100
    """For `promote` and `approve`: the canary's percentage of the requests."""

    @property
    def stands(self) -> bool:
        return self.kind not in (OrderKind.RESUME, OrderKind.APPROVE)

    @property
    def reason(self) -> str:
        """Why the decision was made that carries it out, as the record has it."""
        return f"{self.kind} by {self.who}: {self.why}"

    def goal(self, weight: int) -> int:
        """The canary's weight after it, from its weight before; in percent."""
        found = {OrderKind.PROMOTE: self.weight, OrderKind.BACK: 0}
        return found.get(self.kind, weight)

    def mirror(self, mirror: int) -> int:
        """Percent of the requests that are copied to the canary after it."""
        return 0 if self.kind in (OrderKind.PROMOTE, OrderKind.BACK) else mirror

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Order:
        return cls(**raw | {"kind": OrderKind(raw["kind"])})


@dataclass(frozen=True)
class Intent:
    """A decision that is being carried out; written before anything is done."""

    id: str
    start: int
    """The canary's weight before."""
    goal: int
    """The canary's weight after."""
    order: int
    """Number of the newest order when it was decided; a newer one calls it off."""
    by_order: bool
    """Whether it carries out that order."""
    generation: str
    record: dict[str, Any]
    """The ledger's entry; whoever finishes this writes the same one."""
    start_mirror: int = 0
    """Percent of the requests that were copied to the canary before."""
    mirror: int = 0
    """Percent of the requests that are copied to the canary after."""

    @property
    def called_off(self) -> str:
        """Fencing value of the route that shows that the intent was called off."""
        return f"off-{self.id}"


@dataclass(frozen=True)
class Status:
    """The controller's own object; others write only orders."""

    generation: str
    """Settings that this is about."""
    begun: int
    """When the rollout began, in Unix seconds: the deadline counts from here."""
    started: int
    """When the step began, in Unix seconds: counts are taken from here."""
    weight: int = 0
    """The canary's, by the last decision that was carried out."""
    step: int = -1
    """Number of the step; -1: none yet."""
    phase: Phase = Phase.RUNNING
    decisions: int = 0
    """Decisions made so far, those that were called off too."""
    intent: Intent | None = None
    order: Order | None = None
    """The newest one."""
    order_done: int = 0
    """Number of the newest order that has been carried out."""
    head: str = ""
    """Digest of the newest ledger entry of this rollout."""
    order_over: int = 0
    """Number of the newest order that ended with its pair of revisions."""
    stable: str = ""
    canary: str = ""
    """The pair of revisions that this is about; empty: not known."""
    mirror: int = 0
    """Percent of the requests copied to the canary, by the last decision done."""
    recent: tuple[Decided, ...] = ()
    """The newest decisions that were carried out, the newest first."""
    pending: tuple[dict[str, Any], ...] = ()
    """Entries of decisions that were carried out and that the ledger did not take, the
    oldest first."""

    @property
    def standing(self) -> Order | None:
        """The order that keeps the gates from deciding, carried out or not."""
        order = self.order
        stands = order and order.stands and order.number > self.order_over
        return order if stands else None

    @property
    def approved(self) -> int:
        """The weight that a person has approved of; 0: none.

        It ends with the next order, and with the pair of revisions.
        """
        order = self.order
        if order is None or order.kind is not OrderKind.APPROVE:
            return 0
        counts = self.order_over < order.number <= self.order_done
        return order.weight if counts else 0

    def is_of(self, stable: str, canary: str) -> bool:
        """Return whether this is about that pair; an unknown pair matches any."""
        mine = (self.stable, self.canary)
        return not any(mine) or mine == (stable, canary)

    @property
    def order_number(self) -> int:
        return self.order.number if self.order else 0

    def plain(self) -> dict[str, Any]:
        """Return JSON data without fractions."""
        return asdict(self)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Status:
        """Parse the result of `plain`; KeyError, TypeError or ValueError otherwise."""
        intent, order = raw["intent"], raw["order"]
        return cls(
            **raw
            | {
                "phase": Phase(raw["phase"]),
                "intent": Intent(**intent) if intent else None,
                "order": Order.of(order) if order else None,
                "recent": tuple(Decided(**it) for it in raw.get("recent", ())),
                "pending": tuple(raw.get("pending", ())),
            }
        )
