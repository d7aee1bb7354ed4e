"""Whether the inputs of a model have drifted: significance and size, in 2 of 3 windows.

Size is the share of rows that lie in another cell (total variation, without what chance
adds to it). Measures made of squares or logarithms (population stability index,
Jensen-Shannon, chi-squared) find shifts as well, but take a new cell with few rows for
much: a census three years later, whose oldest have a new code, has the index of a shift
by .25 standard deviations, though .03 of its rows lie elsewhere, as after one by .07.
Kolmogorov and Smirnov's D is as good for shifts, but finds a wider spread half as well
and is not for categories.

Simulated with the defaults: hourly windows of n rows, 20 features (15 normal numbers in
10 or 20 bins, of which three are missing in 2 % of the rows, and 5 categories of 2 to
50 values), a reference of 10,000 rows kept for the whole month.

| no drift, n | alerts in 30 days | windows of 720 that detect anything |
|---|---|---|
| 100 | .06 | 12.8 |
| 300 | .03 | 10.6 |
| 1,000 | .00 | 5.2 |
| 3,000 | .00 | .1 |
| 10,000 and 100,000 | .00 | .0 |
| 1,000, a reference of 1,000 | .19 | 5.4 |

Share of shifts of one feature of 20 whose alert comes within 3 windows:

| n | by .1 sd | .15 sd | .25 sd | .5 sd |
|---|---|---|---|---|
| 100 | .000 | .000 | .002 | .618 |
| 300 | .000 | .003 | .248 | 1.000 |
| 1,000 | .013 | .343 | 1.000 | 1.000 |
| 3,000 | .005 | .683 | 1.000 | 1.000 |
| 10,000 | .003 | .802 | 1.000 | 1.000 |

A shift by .1 that lasts is not silent for ever: in 30 days it gives 8, 6 and 4 alerts
at 1,000, 3,000 and 10,000 rows. Seed 20261129, 2026-11-29, 30 to 200 months and 2,000
shifts a figure (tests/monitor/test_statistics_drift_simulation.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model_monitor.statistics import checks, divergence
from model_monitor.statistics.divergence import Counts

ALPHA = 0.01
"""False discovery rate of one window, over all checks of all features."""
EFFECT_FLOOR = 0.05
"""Least effect on the values that counts: 1 row of 20 lies elsewhere."""
SHARE_FLOOR = 0.01
"""Least change of the share of rows without a value, or outside, that counts."""
MIN_ROWS = 100
"""Least rows of a window, and of the reference, for a feature to be checked."""

Kind = Literal["number", "category"]
CheckName = Literal["values", "missing", "outside"]
Reason = Literal[
    "not enough rows",
    "not enough reference rows",
    "not significant",
    "below the floor",
    "values differ",
    "missing rate differs",
    "outside rate differs",
]
DETECTED: dict[CheckName, Reason] = {
    "values": "values differ",
    "missing": "missing rate differs",
    "outside": "outside rate differs",
}


@dataclass(frozen=True)
class Feature:
    """Rows of one feature, or of the score, in the reference and in a window.

    `reference` and `current` count rows in the same cells: bins of a number, in order,
    or categories. `missing` and `outside` are (rows of the reference, rows of the
    window) without a value, and with one that is in no cell: beyond the bins, or a
    category that the reference does not have. Every row is counted once.
    """

    name: str
    kind: Kind
    reference: Sequence[int]
    current: Sequence[int]
    missing: tuple[int, int] = (0, 0)
    outside: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Check:
    """One test of one feature.

    `values` compares the cells, rows outside being one more; p is that of chi-squared.
    `missing` and `outside` compare the shares of such rows; p is Fisher's. `effect` is
    the corrected total variation (`divergence.total_variation`): the share of rows that
    lie elsewhere. It counts from `floor` on. `rises` tells of `missing` and `outside`
    that the window has the greater share: fewer such rows are drift, and no fault.
    """

    name: CheckName
    effect: float
    floor: float
    p: float
    adjusted_p: float
    detected: bool
    rises: bool = False


@dataclass(frozen=True)
class Verdict:
    """What was found about one feature in one window of `n` rows.

    `effect`, `p` and `adjusted_p` are those of `check`: of the checks that detected
    something the one with the largest effect, otherwise the one of the values. They are
    None where nothing could be checked.
    """

    name: str
    n: int
    effect: float | None
    p: float | None
    adjusted_p: float | None
    detected: bool
    reason: Reason
    check: CheckName = "values"
    checks: tuple[Check, ...] = ()


def decide(
    features: Sequence[Feature],
    *,
    alpha: float = ALPHA,
    effect_floor: float = EFFECT_FLOOR,
    share_floor: float = SHARE_FLOOR,
    min_rows: int = MIN_ROWS,
) -> list[Verdict]:
    """Return the verdict on each feature of one window, in their order.

    A feature has drifted where a check is significant (p adjusted after Benjamini and
    Hochberg over all checks of all features, below `alpha`) and its effect reaches the
    floor: `effect_floor` for values, `share_floor` for the other checks.
    """
    checks.share(alpha, "alpha")
    floors = {"values": effect_floor, "missing": share_floor, "outside": share_floor}
    least = max(1, min_rows)
    tests = [_tests(feature, least) for feature in features]
    p_values = [test.p for of_feature in tests for test in of_feature]
    adjusted = iter(divergence.benjamini_hochberg(p_values).tolist())
    verdicts = []
    for feature, of_feature in zip(features, tests, strict=True):
        found = []
        for test in of_feature:
            p, floor = next(adjusted), floors[test.name]
            detected = p < alpha and test.effect >= floor
            found.append(
                Check(
                    test.name,
                    test.effect,
                    floor,
                    test.p,
                    p,
                    detected=detected,
                    rises=test.rises,
                )
            )
        verdicts.append(_verdict(feature, found, alpha, least))
    return verdicts


def persistent(history: Sequence[bool], needed: int = 2, of: int = 3) -> bool:
    """Return whether at least `needed` of the last `of` windows detected drift.

    `history` is in order of time, one entry for each window, that of one feature.
    """
    if not 1 <= needed <= of:
        raise ValueError(f"needed = {needed}, of = {of}: must be 1 <= needed <= of")
    return sum(history[-of:]) >= needed


@dataclass(frozen=True)
class _Test:
    name: CheckName
    effect: float
    p: float
    rises: bool = False


def _tests(feature: Feature, min_rows: int) -> list[_Test]:
    """Return the tests that the rows allow."""
    before = checks.counts(feature.reference, f"{feature.name}.reference")
    now = checks.counts(feature.current, f"{feature.name}.current")
    try:
        checks.one_length(reference=before, current=now)
    except ValueError as error:
        raise ValueError(f"{feature.name}: {error}") from None
    missing = checks.counts(feature.missing, f"{feature.name}.missing")
    outside = checks.counts(feature.outside, f"{feature.name}.outside")
    present = outside + [before.sum(), now.sum()]
    found = []
    if present.min() >= min_rows:
        cells = divergence.with_rare_cells_joined(
            np.append(before, outside[0]), np.append(now, outside[1])
        )
        p = divergence.chi_squared(*cells)[1]
        found.append(_Test("values", _effect(*cells), p))
        if outside.any():
            found.append(_test_of_share("outside", outside, present))
    if (present + missing).min() >= min_rows and missing.any():
        found.append(_test_of_share("missing", missing, present + missing))
    return found


def _test_of_share(name: CheckName, part: Counts, rows: Counts) -> _Test:
    """Compare shares of rows; both arrays are (of the reference, of the window)."""
    before, now = zip(part.tolist(), rows.tolist(), strict=True)
    parts, rest = np.array([part, rows - part]).T
    shares = part / rows
    return _Test(
        name,
        _effect(parts, rest),
        divergence.two_proportions(before, now),
        rises=bool(shares[1] > shares[0]),
    )


def _effect(reference: Counts, current: Counts) -> float:
    return divergence.total_variation(reference, current, corrected=True)


def _verdict(
    feature: Feature, found: Sequence[Check], alpha: float, min_rows: int
) -> Verdict:
    n = int(sum(feature.current)) + feature.outside[1] + feature.missing[1]
    reason: Reason
    if not found:
        reason = "not enough rows" if n < min_rows else "not enough reference rows"
        return Verdict(feature.name, n, None, None, None, detected=False, reason=reason)
    detected = [check for check in found if check.detected]
    chosen = max(detected, key=lambda check: check.effect) if detected else found[0]
    if detected:
        reason = DETECTED[chosen.name]
    else:
        reason = "not significant" if chosen.adjusted_p >= alpha else "below the floor"
    return Verdict(
        feature.name,
        n,
        chosen.effect,
        chosen.p,
        chosen.adjusted_p,
        bool(detected),
        reason,
        chosen.name,
        tuple(found),
    )
