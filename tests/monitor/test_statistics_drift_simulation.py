"""The alarms of the drift decision, counted in simulated months.

The windows are simulated and decided many at a time, by formulas of their own here; a
test compares them with `decide`. The tables in `model_monitor.statistics.drift` are
what this file prints when it is run, with images/model_monitor in PYTHONPATH (half a
minute).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from model_monitor.statistics import drift
from scipy import special, stats

MONTH = 720
"""Hourly windows in 30 days."""
SEED = 20261129
NUMBERS = 15
Random = np.random.Generator
Array = np.ndarray


@dataclass(frozen=True)
class Source:
    """A feature: shares of its cells without drift, its reference, its cuts if any."""

    shares: Array
    reference: Array
    cuts: Array | None = None
    missing: float = 0.0
    reference_missing: int = 0


def normal_shares(cuts: Array, shift: float = 0.0) -> Array:
    """Shares of a normal value in the bins between the cuts."""
    return np.diff([0.0, *special.ndtr(cuts - shift), 1.0])


def sources(random: Random, rows: int) -> list[Source]:
    """15 normal numbers in deciles or bins of equal width, 5 categories (Zipf's law).

    Cuts come from the reference's own values. Of three numbers 2 % are missing.
    """
    found = []
    for number in range(NUMBERS):
        values = np.sort(random.standard_normal(rows))
        if number < 10:
            cuts = np.quantile(values, np.arange(1, 10) / 10)
        else:
            cuts = np.linspace(values[0], values[-1], 21)[1:-1]
        counts = np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1)
        missing = 0.02 if number % 5 == 1 else 0.0
        found.append(
            Source(normal_shares(cuts), counts, cuts, missing, round(rows * missing))
        )
    for categories in (2, 3, 8, 20, 50):
        shares = 1 / np.arange(1, categories + 1) ** 1.5
        shares /= shares.sum()
        found.append(Source(shares, random.multinomial(rows, shares)))
    return found


@dataclass(frozen=True)
class Windows:
    """Rows of a feature in many windows: cells (windows, cells), missing (windows,)."""

    source: Source
    cells: Array
    missing: Array


def windows(
    random: Random, features: list[Source], rows: int, count: int, shift: float = 0.0
) -> list[Windows]:
    """Windows of all features; the first one is shifted, in standard deviations."""
    found = []
    for number, source in enumerate(features):
        shares = source.shares
        if number == 0 and source.cuts is not None:
            shares = normal_shares(source.cuts, shift)
        missing = random.binomial(rows, source.missing, count)
        found.append(
            Windows(source, random.multinomial(rows - missing, shares), missing)
        )
    return found


def of_values(reference: Array, current: Array) -> tuple[Array, Array]:
    """Effect and p of every window, cells with less than 1 row expected as one."""
    m, n = reference.sum(), current.sum(axis=1, keepdims=True)
    noise = 1 / n + 1 / m
    together = (reference + current) / (n + m)
    expected = (reference + current) * np.minimum(n, m) / (n + m)
    rare = expected < 1
    few = (expected * rare).sum(axis=1)
    for window in np.flatnonzero((few > 0) & (few < 1)):
        kept = np.where(rare[window], np.inf, expected[window])
        rare[window, kept.argmin()] = True
    apart = current / n - reference / m
    # The joined cell comes last; where there is none it is empty and adds nothing.
    apart = np.column_stack([np.where(rare, 0, apart), (apart * rare).sum(axis=1)])
    together = np.column_stack(
        [np.where(rare, 0, together), (together * rare).sum(axis=1)]
    )
    parts = apart**2 / np.where(together > 0, together, 1) / noise
    p = special.chdtrc(np.maximum((together > 0).sum(axis=1) - 1, 1), parts.sum(axis=1))
    excess = np.maximum(0, apart**2 - together * (1 - together) * noise)
    return np.sqrt(excess).sum(axis=1) / 2, p


@functools.cache
def of_missing(before: int, m: int, now: int, n: int) -> tuple[float, float]:
    p = stats.fisher_exact([[before, m - before], [now, n - now]]).pvalue
    share = (before + now) / (m + n)
    excess = (now / n - before / m) ** 2 - share * (1 - share) * (1 / n + 1 / m)
    return math.sqrt(max(0, excess)), float(p)


def detections(features: list[Windows]) -> Array:
    """Whether each feature has drifted: shape (windows, features)."""
    effects, p_values, floors, owner = [], [], [], []
    for number, feature in enumerate(features):
        found = [
            (*of_values(feature.source.reference, feature.cells), drift.EFFECT_FLOOR)
        ]
        before = feature.source.reference_missing
        if before:
            m = int(feature.source.reference.sum()) + before
            n = int(feature.cells[0].sum() + feature.missing[0])
            pairs = [of_missing(before, m, int(now), n) for now in feature.missing]
            found.append((*np.array(pairs).T, drift.SHARE_FLOOR))
        for effect, p, floor in found:
            effects.append(effect)
            p_values.append(p)
            floors.append(floor)
            owner.append(number)
    adjusted = stats.false_discovery_control(np.transpose(p_values), axis=1)
    drifted = (adjusted < drift.ALPHA) & (np.transpose(effects) >= floors)
    return np.column_stack(
        [drifted[:, np.array(owner) == it].any(axis=1) for it in range(len(features))]
    )


def alerts(drifted: Array) -> int:
    """How many alerts begin: of a feature, with 2 of its last 3 windows."""
    before = np.zeros((2, drifted.shape[1]), dtype=bool)
    padded = np.vstack([before, drifted]).astype(int)
    is_on = padded[2:] + padded[1:-1] + padded[:-2] >= 2
    return int((is_on & ~np.vstack([before[:1], is_on[:-1]])).sum())


def months_without_drift(rows: int, reference: int, months: int) -> tuple[float, float]:
    """Alerts a month, and windows a month in which any feature is detected."""
    random = np.random.default_rng(SEED)
    begun = seen = 0
    for _ in range(months):
        drifted = detections(windows(random, sources(random, reference), rows, MONTH))
        begun += alerts(drifted)
        seen += int(drifted.any(axis=1).sum())
    return begun / months, seen / months


def caught(rows: int, shift: float, references: int) -> float:
    """The share of shifts with an alert within 3 windows, of 50 for each reference."""
    random = np.random.default_rng(SEED)
    found = 0
    for _ in range(references):
        features = windows(random, sources(random, 10_000), rows, 150, shift)
        found += int((detections(features)[:, 0].reshape(50, 3).sum(axis=1) >= 2).sum())
    return found / (50 * references)


@pytest.mark.parametrize("rows", [150, 1000])
def test_the_simulation_decides_as_decide_does(rows: int) -> None:
    random = np.random.default_rng(rows)
    simulated = windows(random, sources(random, 5000), rows, 40, shift=0.3)
    decided = [
        drift.decide(
            [
                drift.Feature(
                    str(number),
                    "number" if number < NUMBERS else "category",
                    it.source.reference.tolist(),
                    it.cells[window].tolist(),
                    missing=(it.source.reference_missing, int(it.missing[window])),
                )
                for number, it in enumerate(simulated)
            ]
        )
        for window in range(40)
    ]
    expected = [[verdict.detected for verdict in verdicts] for verdicts in decided]
    assert detections(simulated).tolist() == expected
    assert np.any(expected)
    for number, it in enumerate(simulated):
        checks = [verdicts[number].checks[0] for verdicts in decided]
        effect, p = of_values(it.source.reference, it.cells)
        # A root near 0: rounding by 1e-17 below it is 3e-9.
        assert [check.effect for check in checks] == pytest.approx(effect, abs=1e-7)
        assert [check.p for check in checks] == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize(("rows", "reference"), [(300, 10_000), (1000, 10_000)])
def test_without_drift_there_is_less_than_an_alert_in_a_month(
    rows: int, reference: int
) -> None:
    """Hourly windows of 20 features against one reference for each of 15 months."""
    begun, seen = months_without_drift(rows, reference, months=15)
    assert begun <= 0.2
    # A level of .01 for the window gives 7.2 of 720, the floor leaves fewer.
    assert seen <= 15


def test_a_shift_of_a_quarter_is_caught_within_3_windows() -> None:
    assert caught(1000, 0.25, references=6) >= 0.98


def test_a_shift_of_a_tenth_is_silent_with_any_number_of_rows() -> None:
    assert caught(1000, 0.1, references=6) <= 0.05
    assert caught(10_000, 0.1, references=6) <= 0.05


if __name__ == "__main__":
    for rows, reference, months in (
        (100, 10_000, 100),
        (300, 10_000, 100),
        (1000, 10_000, 200),
        (3000, 10_000, 100),
        (10_000, 10_000, 100),
        (100_000, 10_000, 30),
        (1000, 1000, 100),
    ):
        begun, seen = months_without_drift(rows, reference, months)
        print(
            f"no drift, {rows} of {reference}: {begun:.2f} alerts, {seen:.1f} windows"
        )
    for rows in (100, 300, 1000, 3000, 10_000):
        shares = [f"{caught(rows, shift, 40):.3f}" for shift in (0.1, 0.15, 0.25, 0.5)]
        print(f"caught of shifts by .1 .15 .25 .5, {rows} rows:", *shares)
