"""The gate: limits for a candidate, and whether it keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from slipway.optimize.comparison import ALL, Change, Comparison
from slipway.optimize.statistics import Interval

Purpose = Literal["speed", "size"]


@dataclass(frozen=True)
class Limits:
    """The limits; shares, ratios and differences, none of them in percent."""

    accuracy_loss: float = 0.002
    """The most that accuracy may fall: the interval's lower end counts."""
    group_accuracy_loss: float = 0.005
    """The same of a group: of 2,000 rows, of which as many win as lose and half a
    percent change, the interval has .003 on both sides."""
    rows: int = 2000
    """Minimum number of rows. A group with fewer fails only if it is certainly
    worse."""
    labels_changed: float = 0.01
    stability_index: float = 0.02
    difference: float = 0.1
    gain: float = 1.05
    """Of the speed at one of the batch sizes: the interval's lower end counts."""
    slowdown: float = 0.97
    """Of the speed at any batch size: the interval's upper end counts."""
    memory: float = 1.05
    """Of the process. The tables of 100 trees and their comparison take 2 %."""
    size: float = 0.5
    """Of the weights, if a smaller model is wanted."""


@dataclass(frozen=True)
class Check:
    """One value beside its limit; `passed` is None where there is no limit."""

    measure: str
    part: str
    found: str
    limit: str = ""
    passed: bool | None = None
    manner: str = ""
    """How rows were run when the value was worst; empty if there is one way."""
    interval: Interval | None = None
    """The value as a number, for programs."""


@dataclass(frozen=True)
class Evidence:
    """Measurements of a candidate beside its original."""

    answers: Mapping[str, Comparison]
    """By the manner in which rows were run."""
    speeds: Mapping[int, Interval]
    """Speed ratio, by rows of a run."""
    memory_mib: tuple[float, float]
    size_bytes: tuple[int, int]
    notes: tuple[Check, ...] = field(default=())
    """Values without a limit."""


def judge(
    evidence: Evidence, limits: Limits, purpose: Purpose = "speed"
) -> list[Check]:
    """All checks of a candidate that loads; it passes if none has failed."""
    return [
        *_accuracies(evidence.answers, limits),
        *_drifts(evidence.answers, limits),
        *_speeds(evidence.speeds, limits, purpose),
        _memory(evidence.memory_mib, limits),
        _size(evidence.size_bytes, limits, purpose),
        *evidence.notes,
    ]


def passes(checks: list[Check]) -> bool:
    return bool(checks) and all(it.passed is not False for it in checks)


def _accuracies(answers: Mapping[str, Comparison], limits: Limits) -> Iterator[Check]:
    """Return the accuracy of each part of the rows, in the worst manner."""
    first = next(iter(answers.values()))
    for part in first.changes:
        manner, change = min(
            ((name, it.changes[part]) for name, it in answers.items()),
            key=lambda pair: pair[1].accuracy.lower,
        )
        yield _accuracy(part, manner, change, limits)


def _accuracy(part: str, manner: str, change: Change, limits: Limits) -> Check:
    it = change.accuracy
    most = limits.accuracy_loss if part == ALL else limits.group_accuracy_loss
    if change.rows >= limits.rows or part == ALL:
        limit = f"lower end {-most:g}"
        passed = change.rows >= limits.rows and it.lower >= -most
    else:
        limit, passed = "upper end 0", it.upper >= 0
    return Check(
        "accuracy",
        f"{part} ({change.rows:,})",
        f"{it.value:+.4f} ({it.lower:+.4f} {it.upper:+.4f})",
        limit,
        passed,
        manner,
        it,
    )


def _drifts(answers: Mapping[str, Comparison], limits: Limits) -> Iterator[Check]:
    found = {name: it.labels_changed for name, it in answers.items()}
    manner = max(found, key=lambda name: found[name])
    yield Check(
        "labels changed",
        ALL,
        f"{found[manner]:.3%}",
        f"at most {limits.labels_changed:.1%}",
        found[manner] <= limits.labels_changed,
        manner,
    )
    scores = (
        ("PSI of scores", "stability_index", limits.stability_index),
        ("largest change", "difference", limits.difference),
    )
    for measure, name, most in scores:
        values = {
            manner: value
            for manner, it in answers.items()
            if (value := getattr(it, name)) is not None
        }
        if not values:
            yield Check(measure, "scores", "the model gives none")
            continue
        manner = max(values, key=lambda it: values[it])
        value = values[manner]
        limit = f"at most {most:g}"
        yield Check(measure, "scores", f"{value:.2g}", limit, value <= most, manner)


def _speeds(
    speeds: Mapping[int, Interval], limits: Limits, purpose: Purpose
) -> Iterator[Check]:
    for rows, it in speeds.items():
        yield Check(
            "speed",
            f"{rows} row{'s' if rows > 1 else ''} a run",
            f"{it.value:.2f} times ({it.lower:.2f} {it.upper:.2f})",
            f"upper end {limits.slowdown:g}",
            it.upper >= limits.slowdown,
            interval=it,
        )
    best = max(it.lower for it in speeds.values())
    if purpose == "speed":
        limit, passed = f"at least {limits.gain:g}", best >= limits.gain
        yield Check("gain", "best lower end", f"{best:.2f} times", limit, passed)


def _memory(mib: tuple[float, float], limits: Limits) -> Check:
    before, after = mib
    return Check(
        "memory",
        "the process",
        f"{after / before:.2f} times, {after:.0f} MiB",
        f"at most {limits.memory:g}",
        after <= limits.memory * before,
    )


def _size(size: tuple[int, int], limits: Limits, purpose: Purpose) -> Check:
    before, after = size
    text = f"{after / before:.2f} times, {after:,} bytes"
    if purpose == "speed":
        return Check("size", "the weights", text)
    limit = f"at most {limits.size:g}"
    return Check("size", "the weights", text, limit, after <= limits.size * before)
