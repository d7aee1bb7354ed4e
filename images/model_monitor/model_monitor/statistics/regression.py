"""Sums of the errors of a model that predicts numbers, and metrics from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from scipy import special

from model_monitor.statistics import checks
from model_monitor.statistics.intervals import Interval


@dataclass(frozen=True)
class Errors:
    """Sums over rows of error = prediction - label, and of the label; they add up.

    `error`, `absolute`, `squared`: the sums of e, |e| and e squared. `label`,
    `label_squared`: the sums of y and y squared. Units are the label's.
    """

    n: int = 0
    error: float = 0.0
    absolute: float = 0.0
    squared: float = 0.0
    label: float = 0.0
    label_squared: float = 0.0

    def __post_init__(self) -> None:
        checks.count(self.n, "n")
        for field in fields(self)[1:]:
            checks.numbers([getattr(self, field.name)], field.name)
        for name in ("absolute", "squared", "label_squared"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 0")

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in fields(self)
            }
        )

    @property
    def mae(self) -> float | None:
        """Mean absolute error, in the label's unit."""
        return self.absolute / self.n if self.n else None

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared error, in the label's unit.

        It has no interval: that needs the sum of fourth powers, and the one that takes
        errors as normal is too narrow where tails are heavy. Alarms use the MAE.
        """
        return math.sqrt(self.squared / self.n) if self.n else None

    @property
    def bias(self) -> float | None:
        """Mean error: above 0 where predictions are too high."""
        return self.error / self.n if self.n else None

    @property
    def r2(self) -> float | None:
        """Share of the labels' variance that the predictions explain; at most 1.

        None where the labels do not vary beyond the rounding of their sums. Like the
        RMSE it has no interval.
        """
        if self.n < 2:
            return None
        variation = self.label_squared - self.label * self.label / self.n
        epsilon = float(np.finfo(np.float64).eps)
        if variation <= self.n * epsilon * self.label_squared:
            return None
        return 1 - self.squared / variation

    def mae_interval(self, level: float = 0.95) -> Interval | None:
        """Return the MAE with the t interval of a mean; None of fewer than 2 rows."""
        interval = self._mean_interval(self.absolute, level)
        if interval is None:
            return None
        return Interval(interval.value, max(0.0, interval.low), interval.high)

    def bias_interval(self, level: float = 0.95) -> Interval | None:
        """Return the bias with the t interval of a mean; None of fewer than 2 rows."""
        return self._mean_interval(self.error, level)

    def _mean_interval(self, total: float, level: float) -> Interval | None:
        tail = 0.5 + checks.share(level, "level") / 2
        if self.n < 2:
            return None
        mean = total / self.n
        # Both e and |e| have the sum of squares `squared`.
        variance = max(0.0, self.squared - total * mean) / (self.n - 1)
        half = float(special.stdtrit(self.n - 1, tail)) * math.sqrt(variance / self.n)
        return Interval(mean, mean - half, mean + half)
