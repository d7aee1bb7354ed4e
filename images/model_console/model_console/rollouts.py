"""The rollout controller's data about each rollout (images/rollout: `page.py`).

Times are Unix seconds, weights percent, and differences shares of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model_console.experiments import Experiment
from model_console.verdicts import BAD, NONE, OK, WARN, Verdict

_VERDICTS = {
    "promote": OK,
    "rollback": BAD,
    "stop": BAD,
    "expired": WARN,
    "order": WARN,
}
_PHASES = {
    "running": Verdict(NONE, "running"),
    "promoted": Verdict(OK, "promoted"),
    "back": Verdict(WARN, "taken back"),
}


@dataclass(frozen=True)
class Line:
    """One rollout in the list; null before the controller has looked or begun."""

    server: str
    model: str
    headline: str
    phase: str | None
    verdict: str | None
    reason: str

    @property
    def badges(self) -> tuple[Verdict, ...]:
        return of(self.phase, self.verdict)


@dataclass(frozen=True)
class RolloutsAnswer:
    """Every rollout of the stack."""

    rollouts: tuple[Line, ...]

    def of(self, model: str) -> tuple[Line, ...]:
        """Those of a model of the monitor, which several servers may serve."""
        return tuple(it for it in self.rollouts if it.model == model)


@dataclass(frozen=True)
class Step:
    """A weight of the canary; `approval`: a person must ask for it."""

    weight: int
    approval: bool


@dataclass(frozen=True)
class Order:
    """A person's order: it is in force, or it is being carried out."""

    kind: str
    who: str
    why: str
    time: int
    is_done: bool


@dataclass(frozen=True)
class Decided:
    """A decision that was carried out."""

    id: str
    time: int
    stable: str
    canary: str
    verdict: str
    reason: str
    start: int
    goal: int
    start_mirror: int = 0
    mirror: int = 0

    @property
    def badge(self) -> Verdict:
        return of_verdict(self.verdict)


@dataclass(frozen=True)
class Point:
    """A gate's values after some intervals; null where a bound is not known."""

    end: int
    intervals: int
    estimate: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Gate:
    """A gate's judgement, and the history of its bounds."""

    gate: str
    call: str
    reason: str
    counted: str
    difference: str
    tolerate: float
    points: tuple[Point, ...]

    @property
    def badge(self) -> Verdict:
        return of_verdict(self.call)


@dataclass(frozen=True)
class Rollout:
    """One rollout as the controller's newest look that ended well left it."""

    server: str
    stable: str
    canary: str
    headline: str
    notes: tuple[str, ...]
    looked: int
    is_failing: bool
    phase: str | None
    stage: str
    steps: tuple[Step, ...]
    weights: Mapping[str, int]
    mirrors: Mapping[str, int]
    started: int | None
    deadline: int | None
    order: Order | None
    decisions: tuple[Decided, ...]
    gates: tuple[Gate, ...]
    experiment: Experiment | None = None
    """The experiment that the rollout carries out."""


@dataclass(frozen=True)
class RolloutAnswer:
    """The newest look; `rollout` is null where settings or route cannot be read."""

    verdict: str
    reason: str
    rollout: Rollout | None

    @property
    def badges(self) -> tuple[Verdict, ...]:
        return of(self.rollout.phase if self.rollout else None, self.verdict)

    @property
    def goes_on(self) -> bool:
        return self.rollout is None or self.rollout.phase not in {"promoted", "back"}


def of(phase: str | None, verdict: str | None) -> tuple[Verdict, ...]:
    """Return the phase, and what the newest look says if the rollout goes on."""
    if phase is None:
        return (of_verdict(verdict or "not begun"),)
    known = _PHASES.get(phase, Verdict(NONE, phase))
    if phase != "running" and verdict == "hold":
        return (known,)
    return (known, of_verdict(verdict or "not known"))


def of_verdict(words: str) -> Verdict:
    """Return a verdict of the controller, in its own word."""
    return Verdict(_VERDICTS.get(words, NONE), words)
