"""The loop: compile the known state, apply it as a whole, and verify it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from policy_agent.log import log
from policy_agent.nft import Nft, NftError, Refused
from policy_agent.nft_text import REMEMBERED_SECONDS, Table, table
from policy_agent.rules import Ruleset
from policy_agent.state import State

SETTLE_SECONDS = 0.05
"""Changes come in groups: a Deployment's pods, a stack's policies."""
APART_SECONDS = 0.3
"""Least time from one application to the next."""
VERIFY_SECONDS = 2.0
RETRY_SECONDS = 1.0
LATE_SECONDS = 5.0
"""A change that is not in force after so long makes the agent not ready."""
HUNG_SECONDS = 60.0


@dataclass
class Agent:
    """Enforces the rules of one node."""

    state: State
    node: str
    nft: Nft
    pod_interfaces: str
    errors: Counter[str] = field(default_factory=Counter)
    applications: int = 0
    restorations: int = 0
    refusals: int = 0
    apply_seconds: float = 0.0
    applied_at: float = 0.0
    ruleset: Ruleset = field(default_factory=Ruleset)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._table: Table | None = None
        self._in_force = False
        self._version = -1
        self._turned = time.monotonic()
        self._logged: dict[Refused, float] = {}

    def run(self) -> None:
        """Until `stopping` is set; the rules stay in the kernel."""
        while not self.stopping.is_set():
            self._turned = time.monotonic()
            if self.state.changed.wait(VERIFY_SECONDS):
                self.stopping.wait(SETTLE_SECONDS)
                self.state.changed.clear()
            if not self.state.is_complete:
                continue
            try:
                self.turn()
            except NftError as error:
                self._in_force = False
                self.errors["nft"] += 1
                log(f"nft failed: {error}", level="error")
                self.stopping.wait(RETRY_SECONDS)

    def stop(self) -> None:
        """Ends `run` soon."""
        self.stopping.set()
        self.state.changed.set()

    def turn(self) -> None:
        """Applies the newest state if it says anything new, or if it was removed."""
        stands = self._look()
        if stands and self._version == self.state.version:
            return
        ruleset, version = self.state.ruleset(self.node)
        wanted = table(ruleset, self.pod_interfaces)
        if stands and wanted == self._table:
            self._version, self.ruleset = version, ruleset
            return
        if self._table and not stands:
            self.restorations += 1
            log("the table was not in force any more; restored", level="warning")
        self._in_force = False
        start = time.monotonic()
        self.nft.apply(wanted)
        self.apply_seconds += time.monotonic() - start
        self.applications += 1
        self.applied_at = time.time()
        self._table, self._version, self.ruleset = wanted, version, ruleset
        self._in_force = True
        log(
            "applied",
            mark=wanted.mark,
            pods=len(ruleset.known),
            rules=ruleset.count,
            milliseconds=round(1000 * (time.monotonic() - start)),
        )
        self.stopping.wait(APART_SECONDS)

    def _look(self) -> bool:
        """Whether the table stands; says whom it has refused since the last look."""
        if self._table is None:
            return False
        found: list[Refused] = []
        for version in (4, 6):
            refused = self.nft.refused(self._table.mark, version=version)
            if refused is None:
                return False
            found += refused
            if not any(":" in address for address in self.ruleset.known):
                break  # no IPv6 here
        now = time.monotonic()
        self._logged = {
            r: at for r, at in self._logged.items() if now - at < REMEMBERED_SECONDS
        }
        for one in found:
            if one not in self._logged:
                self._logged[one] = now
                self.refusals += 1
                self._log_refused(one)
        self._in_force = True
        return True

    def _log_refused(self, refused: Refused) -> None:
        """A line that names pod, direction and policies."""
        parts = (refused.source, refused.destination)
        for direction in self.ruleset.refusals(*parts, refused.protocol, refused.port):
            own = refused.source if direction == "Egress" else refused.destination
            side = self.ruleset.reasons.get((direction, own))
            log(
                "refused",
                source=refused.source,
                destination=refused.destination,
                protocol=refused.protocol,
                port=refused.port,
                direction=direction,
                pod=side.pod if side else None,
                policies=list(side.policies) if side else [],
            )

    @property
    def pending_seconds(self) -> float:
        """Return how long the newest state has waited to be applied."""
        if not self.state.is_complete or self._version == self.state.version:
            return 0.0
        return time.monotonic() - self.state.changed_at

    def problem(self) -> str:
        """Why it is not ready; empty if the newest state is in force."""
        if not self.state.is_complete:
            return "policies, pods and namespaces are not all known yet"
        if not self._in_force:
            return "the table is not in force"
        if self.pending_seconds > LATE_SECONDS:
            return f"a change waits for {self.pending_seconds:.0f} s"
        return ""

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self._turned < HUNG_SECONDS
