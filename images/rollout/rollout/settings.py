"""Settings of a rollout: the JSON that the stack writes into its ConfigMap."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rollout.cohorts import Cohorts, What

MOST_ROWS = 20_000
"""Intervals times gates of a step: the record of a decision keeps all counts, and an
object of Kubernetes has room for 1 MiB."""

COMPLETED = "completed"
MOST_INTERVALS = 10_900
"""Maximum intervals of a step: Prometheus returns 11,000 points of a series, some of
them before the step."""


class RollbackWhen(StrEnum):
    """When the slow lane of a gate rolls back."""

    ANY_HARM = "any_harm"
    """It is proven that the canary is worse."""
    WORSE_THAN_TOLERATED = "worse_than_tolerated"
    """Also, the estimate is beyond what is tolerated."""


class SettingsError(ValueError):
    """All that is wrong with the settings, a line for each."""


@dataclass(frozen=True)
class ErrorsAllowed:
    """Allowed error rates of the gates of one step."""

    false_rollback: float = 0.05
    false_promotion: float = 0.05


@dataclass(frozen=True)
class Counters:
    """PromQL selectors of the counters of each revision, as the gateway has them."""

    canary: str = ""
    stable: str = ""

    def plain(self) -> dict[str, str]:
        return {"canary": self.canary, "stable": self.stable}

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Counters:
        return cls(str(raw["canary"]), str(raw["stable"]))


@dataclass(frozen=True)
class Gate:
    """The counted value and the tolerance; shares of 1."""

    name: str
    tolerate: float
    rollback_when: RollbackWhen = RollbackWhen.ANY_HARM
    paired: bool = False
    """Both revisions answer the same requests (shadow)."""
    min_coverage: float = 0.0
    """Share of predictions with labels, below which the gate holds."""
    counters: Counters = Counters()
    """Counters of the bad requests, or of the good ones if `of_good`."""
    of_good: bool = False
    """The counters count the good ones: a bucket of a latency histogram does."""
    cohorts: Cohorts | None = None
    """The counts are the monitor's, of predictions by cohort; None: the gateway's."""

    @property
    def rows(self) -> int:
        """Rows of a decision's record that one interval takes, in those of errors."""
        if self.cohorts is None:
            return 1
        return {What.SCORES: 4}.get(self.cohorts.what, 1 + self.cohorts.what.is_gap)

    def decides(self, *, shadow: bool) -> bool:
        """Return whether it decides in a shadow step, or else in a step with weight.

        The gateway counts copies and requests. Of predictions there are pairs of a copy
        and its original in a shadow step alone, and the others count no copies.
        """
        return self.cohorts is None or self.cohorts.what.is_paired == shadow

    def length(self, settings: Settings) -> int:
        """Return the length of its intervals, in seconds."""
        return (
            self.cohorts.interval_seconds if self.cohorts else settings.interval_seconds
        )


@dataclass(frozen=True)
class Step:
    """One weight, and what going to it needs."""

    weight: int
    """Percent of the requests."""
    approval: bool = False
    """A person's approval is needed to go to this step."""


@dataclass(frozen=True)
class Settings:
    """One rollout of one model server."""

    server: str
    stable: str
    """The revision that is replaced."""
    canary: str
    """The revision that may replace it."""
    steps: tuple[Step, ...]
    gates: tuple[Gate, ...]
    interval_seconds: int = 30
    min_intervals: int = 30
    deadline_hours: float = 72.0
    errors_allowed: ErrorsAllowed = ErrorsAllowed()
    sample_ratio: bool = True
    total: Counters = Counters()
    """Counters of all requests."""
    shadow_percent: int = 0
    """Share of the requests that is copied to the canary before the first step; 0: it
    gets no copies."""
    completed: Counters = Counters()
    """Counters of all requests that are there, at 0, before the first one; empty: there
    are none."""

    @property
    def generation(self) -> str:
        """Return the identity of these settings: the digest of their JSON.

        Without `completed`, which no person has chosen: rollouts that run go on when
        they get it.
        """
        plain = {name: it for name, it in self.plain().items() if name != COMPLETED}
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def weight_after(self, step: int) -> int:
        """The canary's weight of the step that follows; 100 after the last one."""
        return self.steps[step + 1].weight if step + 1 < len(self.steps) else 100

    def approval_after(self, step: int) -> bool:
        """Return whether the step that follows needs a person's approval."""
        return step + 1 < len(self.steps) and self.steps[step + 1].approval

    def step_of(self, weight: int) -> int:
        """The last step whose weight is not above; -1 if there is none."""
        return max([-1, *(n for n, it in enumerate(self.steps) if it.weight <= weight)])

    def weights(self, canary: int) -> dict[str, int]:
        """Percent of the requests by revision, for a weight of the canary."""
        return {self.stable: 100 - canary, self.canary: canary}

    def plain(self) -> dict[str, Any]:
        """As JSON without fractions, which have no canonical form: they are texts."""
        # Settings of rollouts without it keep their digest.
        shadow = {"shadow_percent": self.shadow_percent} if self.shadow_percent else {}
        known = {COMPLETED: self.completed.plain()} if self.completed.canary else {}
        return (
            shadow
            | known
            | {
                "server": self.server,
                "stable": self.stable,
                "canary": self.canary,
                "steps": [
                    {"weight": s.weight, "approval": s.approval} for s in self.steps
                ],
                "gates": [_plain_gate(gate) for gate in self.gates],
                "interval_seconds": self.interval_seconds,
                "min_intervals": self.min_intervals,
                "deadline_hours": repr(self.deadline_hours),
                "errors_allowed": {
                    "false_rollback": repr(self.errors_allowed.false_rollback),
                    "false_promotion": repr(self.errors_allowed.false_promotion),
                },
                "sample_ratio": self.sample_ratio,
                "total": self.total.plain(),
            }
        )


def _plain_gate(gate: Gate) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": gate.name,
        "tolerate": repr(gate.tolerate),
        "rollback_when": gate.rollback_when.value,
        "paired": gate.paired,
        "min_coverage": repr(gate.min_coverage),
        "counters": gate.counters.plain(),
        "of_good": gate.of_good,
    }
    # Absent where there are none: settings of the gateway's gates stay the same ones.
    return found | ({"cohorts": gate.cohorts.plain()} if gate.cohorts else {})


def read(raw: dict[str, Any]) -> Settings:
    """The settings that `plain` gave; SettingsError says all that is wrong."""
    try:
        found = _read(raw)
        problems = list(_problems(found))
    except (
        AttributeError,
        KeyError,
        OverflowError,
        TypeError,
        ValueError,
    ) as error:
        raise SettingsError(
            f"the settings are not a rollout's ({error!r}); apply the stack again"
        ) from error
    if problems:
        raise SettingsError("\n".join(problems))
    return found


def _read(raw: dict[str, Any]) -> Settings:
    errors = raw["errors_allowed"]
    return Settings(
        server=str(raw["server"]),
        stable=str(raw["stable"]),
        canary=str(raw["canary"]),
        steps=tuple(
            Step(int(it["weight"]), bool(it["approval"])) for it in raw["steps"]
        ),
        gates=tuple(_read_gate(it) for it in raw["gates"]),
        interval_seconds=int(raw["interval_seconds"]),
        min_intervals=int(raw["min_intervals"]),
        deadline_hours=float(raw["deadline_hours"]),
        errors_allowed=ErrorsAllowed(
            float(errors["false_rollback"]), float(errors["false_promotion"])
        ),
        sample_ratio=bool(raw["sample_ratio"]),
        total=Counters.of(raw["total"]),
        shadow_percent=int(raw.get("shadow_percent", 0)),
        completed=Counters.of(raw.get(COMPLETED, Counters().plain())),
    )


def _read_gate(raw: dict[str, Any]) -> Gate:
    return Gate(
        name=str(raw["name"]),
        tolerate=float(raw["tolerate"]),
        rollback_when=RollbackWhen(raw["rollback_when"]),
        paired=bool(raw["paired"]),
        min_coverage=float(raw["min_coverage"]),
        counters=Counters.of(raw["counters"]),
        of_good=bool(raw["of_good"]),
        cohorts=Cohorts.of(raw["cohorts"]) if "cohorts" in raw else None,
    )


def _problems(it: Settings) -> Iterator[str]:
    weights = [step.weight for step in it.steps]
    if not weights or weights != sorted({w for w in weights if 0 < w < 100}):
        yield f"steps: {weights}: do not rise between 0 and 100; give such weights"
    if not 0 <= it.shadow_percent <= 100:
        yield f"shadow_percent: {it.shadow_percent}: give 1 to 100, or 0 for no copies"
    if it.stable == it.canary:
        yield f"canary: {it.canary}: is the stable revision; name another one"
    if it.interval_seconds < 5 or it.min_intervals < 2:
        yield "interval_seconds, min_intervals: too few; give at least 5 and 2"
    elif not (it.deadline_hours > 0 and math.isfinite(it.deadline_hours * 3600)):
        yield f"deadline_hours: {it.deadline_hours}: no such time; give hours above 0"
    else:
        yield from _problems_of_length(it)
    for name, share in vars(it.errors_allowed).items():
        if not 0 < share <= 0.5:
            yield f"errors_allowed.{name}: {share}: give a share up to 0.5"
    yield from _problems_of_gates(it.gates)
    yield from _problems_of_shadow(it)


def _problems_of_shadow(it: Settings) -> Iterator[str]:
    """Report gates that could never decide, and steps without any gate."""
    if it.shadow_percent and not any(gate.decides(shadow=True) for gate in it.gates):
        yield (
            f"shadow_percent: {it.shadow_percent}: no gate compares copies; give a "
            "gate of pairs or of the gateway's counts, or 0 for no copies"
        )
    pairs = [gate.name for gate in it.gates if not gate.decides(shadow=False)]
    if pairs and not it.shadow_percent:
        names = ", ".join(pairs)
        yield f"shadow_percent: 0: there are no pairs for {names}; give 1 to 100"
    if pairs and len(pairs) == len(it.gates):
        yield "gates: none compares requests; give one of the gateway's counts"


def _problems_of_length(it: Settings) -> Iterator[str]:
    seconds = it.deadline_hours * 3600
    intervals = round(seconds / it.interval_seconds)
    rows = sum(one.rows * round(seconds / max(1, one.length(it))) for one in it.gates)
    if intervals > MOST_INTERVALS or rows > MOST_ROWS:
        most = min(MOST_INTERVALS, MOST_ROWS * intervals // max(1, rows))
        yield (
            f"interval_seconds: {it.interval_seconds}: {intervals} intervals until "
            f"the deadline, {most} can be read and recorded; give longer ones"
        )


def _problems_of_gates(gates: Sequence[Gate]) -> Iterator[str]:
    if not gates or len({gate.name for gate in gates}) < len(gates):
        yield "gates: there are none, or two of a name; give each gate a name"
    for gate in gates:
        if not 0 < gate.tolerate < 1:
            yield f"gates.{gate.name}: {gate.tolerate}: give a share between 0 and 1"
        if not 0 <= gate.min_coverage <= 1:
            share = gate.min_coverage
            yield f"gates.{gate.name}.min_coverage: {share}: give a share up to 1"
        if gate.cohorts:
            path = f"gates.{gate.name}.cohorts"
            yield from gate.cohorts.problems(path, min_coverage=gate.min_coverage)
            if gate.cohorts.what.is_paired != gate.paired:
                yield f"{path}: {gate.cohorts.what} and paired: {gate.paired}: differ"
