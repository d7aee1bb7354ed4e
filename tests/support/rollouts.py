"""A cluster in memory for the rollout's protocol: one call at a time, by anybody."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout import protocol
from rollout.actions import Refused, WriteEntry, WriteRoute, WriteStatus
from rollout.counts import Interval, Series, Tally
from rollout.facts import Ready
from rollout.record import Entry
from rollout.seen import Route
from rollout.settings import Gate, Settings, Step
from rollout.status import Status

Call = Any
Actor = Generator[Call, Any, Any]

SETTINGS = Settings(
    server="m",
    stable="a",
    canary="b",
    steps=(Step(5), Step(25)),
    gates=(Gate("errors", 0.005),),
    interval_seconds=30,
    min_intervals=2,
    sample_ratio=False,
)


def series(
    rows: int, *, canary_bad: int = 0, stable_bad: int = 0, start: int = 0
) -> Series:
    """So many intervals, each with 1,000 requests of the canary and 9,000 of stable."""
    canary, stable = Tally(1000, canary_bad), Tally(9000, stable_bad)
    return Series(
        tuple(Interval(start + 30 * row, canary, stable) for row in range(rows))
    )


GOOD, BAD, LITTLE = series(2), series(2, canary_bad=200), series(1)


def place(weight: int, mirror: int) -> int:
    """Where a canary is: its weight, or below 0 the share of copies that it gets."""
    return weight or -mirror


@dataclass
class World:
    """Route, status, settings and ledger, with what happened to them."""

    settings: Settings = SETTINGS
    route: Route = field(default_factory=lambda: Route("1", {"a": 100, "b": 0}))
    status: Status | None = None
    status_version: int = 0
    ledger: dict[str, Entry] = field(default_factory=dict)
    entries: int = 0
    """How often an entry was added, the same one again too if `appends`."""
    appends: bool = False
    refuses: Callable[[], bool] = lambda: False
    """Whether the ledger takes no entry now; a quota is asked before the storage."""
    now: int = 0
    ready: Ready | None = field(default_factory=lambda: Ready(9, 9))
    counts: Callable[[], Mapping[str, Series] | None] = lambda: {"errors": LITTLE}
    moves: list[tuple[int, int, str]] = field(default_factory=list)
    """Places before and after, and the intent that there was, of each change."""

    def answer(self, call: Call) -> Any:
        """Does one call, as the API server does: whole, or not at all."""
        match call:
            case WriteStatus(status, version):
                return self._write_status(status, version)
            case WriteRoute():
                return self._write_route(call)
            case WriteEntry(entry):
                return self._write_entry(entry)
        return self._read(call)

    def _read(self, call: Call) -> Any:
        if isinstance(call, protocol.ReadClock):
            self.now += 1
            return self.now
        if isinstance(call, protocol.ReadStatus):
            return self.status, str(self.status_version)
        if isinstance(call, protocol.ReadCounts):
            return self.ready, self.counts()
        is_route = isinstance(call, protocol.ReadRoute)
        return self.route if is_route else self.settings

    def _write_status(self, status: Status, version: str) -> bool:
        if version != str(self.status_version):
            return False
        self.status, self.status_version = status, self.status_version + 1
        return True

    def _write_route(self, call: WriteRoute) -> bool:
        if call.version != self.route.version:
            return False
        weights, fence = self.route.weights, self.route.fence
        mirrors = self.route.mirrors
        if call.weights is not None:
            intent = self.status.intent if self.status else None
            canary = self.settings.canary
            move = (
                place(weights.get(canary, 0), self.route.mirrors.get(canary, 0)),
                place(call.weights[canary], call.mirrors.get(canary, 0)),
            )
            if not self.route.stale or move[0] != move[1]:
                self.moves.append((*move, intent.id if intent else ""))
            weights, mirrors = call.weights, call.mirrors
        if call.fence is not None:
            fence = call.fence
        stale = self.route.stale and call.weights is None
        version = str(int(self.route.version) + 1)
        self.route = Route(version, weights, fence, stale, mirrors)
        return True

    def _write_entry(self, entry: Entry) -> bool | Refused:
        if self.refuses():
            return Refused("403 exceeded quota")
        if entry["id"] in self.ledger:
            assert self.ledger[entry["id"]] == entry, "two entries of one id"
            self.entries += self.appends
            return False
        self.ledger[entry["id"]] = entry
        self.entries += 1
        return True

    def run(self, actor: Actor) -> Any:
        """An actor from its first call to its end, with nobody beside it."""
        return protocol.run(actor, self.answer)
