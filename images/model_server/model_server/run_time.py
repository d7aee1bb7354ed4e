"""Duration of a model's runs: measured at start, corrected while it serves."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping

REMEMBERED_RUNS = 9


class RunTime:
    """Seconds that a run takes by its rows, as measured for some numbers of rows."""

    def __init__(self, measured: Mapping[int, float]) -> None:
        self.rows = sorted(measured)
        self.times = [measured[rows] for rows in self.rows]

    @property
    def one(self) -> float:
        return self.times[0]

    @property
    def full(self) -> float:
        return self.times[-1]

    def seconds(self, rows: int) -> float:
        """Return the time of a run, on a straight line between what was measured."""
        index = bisect_left(self.rows, rows)
        if index == 0:
            return self.times[0]
        if index == len(self.rows):
            return self.times[-1]
        left, right = self.rows[index - 1], self.rows[index]
        share = (rows - left) / (right - left)
        return self.times[index - 1] + share * (
            self.times[index] - self.times[index - 1]
        )

    def rows_within(self, seconds: float) -> int:
        """Return the most rows whose run keeps within the seconds; 0 if none does."""
        below = 0
        for index, (rows, time) in enumerate(zip(self.rows, self.times, strict=True)):
            if time > seconds:
                if index == 0:
                    return 0
                before = self.times[index - 1]
                share = (seconds - before) / (time - before)
                return below + int(share * (rows - below))
            below = rows
        return below


class Pace:
    """What the next runs will take, by how the last ones compared with `RunTime`.

    A server that shares its CPU, or whose answers cost more than its model, is slower
    than the model alone was at start; `factor` is by how much. It is the median of the
    last runs: one that the machine held up for a moment says nothing of the next, and
    a mean would refuse a burst of requests for it.
    """

    def __init__(self, run_time: RunTime, max_batch_rows: int) -> None:
        self._run_time = run_time
        self._max_batch_rows = max_batch_rows
        self._full = run_time.seconds(max_batch_rows)
        self.factor = 1.0
        self._ratios = deque([1.0] * REMEMBERED_RUNS, maxlen=REMEMBERED_RUNS)

    def learn(self, rows: int, seconds: float) -> None:
        """Take in what one batch took from its begin to its last answer."""
        expected = self._model_seconds(rows)
        if expected > 0:
            self._ratios.append(seconds / expected)
            self.factor = sorted(self._ratios)[REMEMBERED_RUNS // 2]

    def seconds(self, rows: int) -> float:
        """Return how long it takes to answer so many rows, batch after batch."""
        return self.factor * self._model_seconds(rows)

    def _model_seconds(self, rows: int) -> float:
        batches, rest = divmod(rows, self._max_batch_rows)
        return batches * self._full + (self._run_time.seconds(rest) if rest else 0.0)
