"""The conclusion from a step's facts: continue, wait, or roll back.

Missing data hold the rollout, and so does everything that makes a comparison doubtful.
Only harm, a canary without a ready replica, and the deadline roll it back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from rollout import gate, pairs_gate, sample_ratio, scores_gate
from rollout.cohorts import What
from rollout.counts import Series
from rollout.facts import Facts
from rollout.gate import Call, Judgement
from rollout.settings import Gate, Settings


class Verdict(StrEnum):
    """The conclusion from the facts, or from a person's order."""

    PROMOTE = "promote"
    SHADOW = "shadow"
    """The canary gets copies of requests, and no request of its own."""
    HOLD = "hold"
    ROLLBACK = "rollback"
    EXPIRED = "expired"
    """The deadline is over; says nothing about the canary."""
    STOP = "stop"
    """The rollout cannot go on without a person."""
    ORDER = "order"
    """A person has asked for it."""


@dataclass(frozen=True)
class Outcome:
    """A verdict and what it rests on."""

    verdict: Verdict
    reason: str
    judgements: tuple[Judgement, ...] = ()
    lacks_data: bool = False
    """It waits for counts, predictions or labels that should be there."""

    def goal(self, settings: Settings, facts: Facts) -> int:
        """The canary's weight that follows."""
        if self.verdict is Verdict.PROMOTE:
            return settings.weight_after(facts.step)
        if self.verdict in (Verdict.ROLLBACK, Verdict.EXPIRED):
            return 0
        return facts.weight

    def mirror(self, settings: Settings, facts: Facts) -> int:
        """Percent of the requests that are copied to the canary, as follows."""
        if self.verdict is Verdict.SHADOW:
            return settings.shadow_percent
        ends = (Verdict.PROMOTE, Verdict.ROLLBACK, Verdict.EXPIRED)
        return 0 if self.verdict in ends else facts.mirror


def weigh(settings: Settings, facts: Facts) -> Outcome:
    """The verdict of one step; depends on nothing but its arguments."""
    if found := _without_replicas(facts):
        return found  # nor does the deadline send requests to a stable without any
    if facts.now - facts.begun >= settings.deadline_hours * 3600:
        text = f"not decided in {settings.deadline_hours:g} hours"
        return Outcome(Verdict.EXPIRED, text)
    if facts.step < 0 and not 0 < facts.mirror == settings.shadow_percent:
        return _begin(settings, facts)
    judgements = _judge(settings, facts)
    call, reason = gate.of_all(judgements)
    if call is Call.ROLLBACK:
        return Outcome(Verdict.ROLLBACK, reason, judgements)
    if (doubt := _doubt(settings, facts)) or call is Call.HOLD:
        lacks = bool(doubt) or _lacks_labels(settings, facts)
        return Outcome(Verdict.HOLD, doubt or reason, judgements, lacks_data=lacks)
    return _advance(settings, facts, Outcome(Verdict.PROMOTE, reason, judgements))


def _without_replicas(facts: Facts) -> Outcome | None:
    ready = facts.ready
    if ready is None:
        return None  # harm counts all the same; a promotion waits
    if not ready.stable:
        return Outcome(Verdict.HOLD, "stable has no ready replica")
    if (facts.weight or facts.mirror) and not ready.canary:
        return Outcome(Verdict.ROLLBACK, "the canary has no ready replica")
    return None


def _begin(settings: Settings, facts: Facts) -> Outcome:
    """The first step, or before it copies, whose answers nobody gets."""
    if not settings.shadow_percent or facts.weight:
        return _advance(settings, facts, Outcome(Verdict.PROMOTE, "the first step"))
    if facts.ready is None or not facts.ready.canary:
        return Outcome(Verdict.HOLD, "copies need a ready replica of the canary")
    text = f"{settings.shadow_percent} % of the requests are copied to the canary"
    return Outcome(Verdict.SHADOW, text)


def _judge(settings: Settings, facts: Facts) -> tuple[Judgement, ...]:
    counts = facts.counts or {}
    return tuple(
        _judge_of(one)(
            one,
            counts[one.name],
            settings.errors_allowed,
            gates=len(settings.gates),
            min_intervals=settings.min_intervals,
        )
        for one in _gates(settings, facts)
        if one.name in counts
    )


def _gates(settings: Settings, facts: Facts) -> tuple[Gate, ...]:
    """The gates that decide in this step."""
    shadow = bool(facts.mirror)
    return tuple(it for it in settings.gates if it.decides(shadow=shadow))


def _judge_of(one: Gate) -> Callable[..., Judgement]:
    what = one.cohorts.what if one.cohorts else None
    others = {
        What.SCORES: scores_gate.judge,
        What.PAIRED_DECISIONS: pairs_gate.judge,
        What.PAIRED_SCORES: pairs_gate.judge,
    }
    return others.get(what, gate.judge) if what else gate.judge


def _doubt(settings: Settings, facts: Facts) -> str:
    """Why the counts are not good enough for a promotion; empty if they are."""
    if facts.counts is None:
        return "the counts could not be read"
    for one in _gates(settings, facts):
        if one.name not in facts.counts:
            return f"{one.name}: there are no counts"
        series = facts.counts[one.name]
        if one.cohorts:
            # As old as their labels, whose coverage is checked.
            if text := facts.silent(series, one.cohorts) or _unpaired(one, series):
                return f"{one.name}: {text}"
            continue
        if not one.min_coverage and (text := facts.missing(series, settings)):
            return f"{one.name}: {text}"
        by_weight = settings.sample_ratio and not facts.mirror
        if by_weight and not one.min_coverage and not one.paired:
            canary = sum(it.canary.total for it in series.intervals)
            stable = sum(it.stable.total for it in series.intervals)
            share = facts.weight / 100
            if sample_ratio.evidence(canary, stable, share) >= sample_ratio.ALARM:
                got = canary / (canary + stable)
                return f"{one.name}: the canary got {got:.1%}, not {share:.0%}"
    return ""


def _unpaired(one: Gate, series: Series) -> str:
    """Whether too few copies have an original, however many of these have labels."""
    if not (one.cohorts and one.cohorts.min_paired) or series.coverage is None:
        return ""  # without a due copy, the gate itself holds
    needed, share = float(one.cohorts.min_paired), series.paired or 0.0
    if share >= needed:
        return ""
    text = f"{share:.0%} of the copies have their original's answer"
    return f"{text}; {needed:.0%} are needed"


def _lacks_labels(settings: Settings, facts: Facts) -> bool:
    """Return whether cohorts are due and too few of their predictions have labels."""
    counts = facts.counts or {}
    gates = _gates(settings, facts)
    due = [(it, counts[it.name]) for it in gates if it.name in counts]
    return any(
        series.coverage is not None and series.coverage < gate.min_coverage
        for gate, series in due
    )


def _advance(settings: Settings, facts: Facts, outcome: Outcome) -> Outcome:
    """The promotion, or why it has to wait."""
    weight = settings.weight_after(facts.step)
    ready = facts.ready
    if ready is None:
        text = "it is not known how many replicas are ready"
        return Outcome(Verdict.HOLD, text, outcome.judgements)
    if ready.canary < (needed := ready.needed(weight)):
        text = f"{weight} % needs {needed} ready replicas of the canary"
        return Outcome(
            Verdict.HOLD, f"{text}, it has {ready.canary}", outcome.judgements
        )
    if settings.approval_after(facts.step) and facts.approved != weight:
        text = f"{weight} % needs a person's approval: `slipway rollout approve`"
        return Outcome(Verdict.HOLD, text, outcome.judgements)
    return outcome
