"""The queue before a model whose rows depend on each other: each request runs alone."""

from __future__ import annotations

import time
from collections import deque

from model_server.batching import Batcher, Job
from model_server.buffers import Buffer
from model_server.metrics import ModelMetrics
from model_server.model import Model
from model_server.outputs import Array
from model_server.run_time import Pace, RunTime


class ApartBatcher(Batcher):
    """Runs one request at a time, whole: it shares no run and is never cut."""

    def __init__(
        self,
        model: Model,
        metrics: ModelMetrics,
        run_time: RunTime,
        *,
        max_request_rows: int,
        max_queue_rows: int,
        max_queue_bytes: int,
        max_wait_seconds: float,
    ) -> None:
        super().__init__(
            model,
            metrics,
            run_time,
            max_batch_rows=max_request_rows,
            max_queue_rows=max_queue_rows,
            max_queue_bytes=max_queue_bytes,
            max_wait_seconds=max_wait_seconds,
        )
        # Longer than any request, so that the pace is that of whole ones.
        self._pace = Pace(run_time, max_request_rows + 1)
        self._apart = _Queue(run_time)
        self._queue = self._apart

    def _goes_next(self, rows: int) -> bool:  # noqa: ARG002, however many
        return not self._queue

    def _fits(self, rows: int) -> bool:  # noqa: ARG002, however few
        return False

    def expected_wait(self) -> float:
        """Return the seconds until all that is queued now will be answered."""
        left = 0.0
        if self._running_rows:
            elapsed = time.monotonic() - self._taken_at
            left = max(0.0, self._pace.seconds(self._running_rows) - elapsed)
        return left + self._pace.factor * self._apart.seconds

    def _run_in_parts(
        self,
        buffers: list[Buffer],
        rows: int,  # noqa: ARG002, however many
    ) -> list[Array]:
        return self._model.run(buffers)


class _Queue(deque[Job]):
    """Jobs that wait, and the seconds of the model's time that they will take."""

    def __init__(self, run_time: RunTime) -> None:
        super().__init__()
        self._run_time = run_time
        self.seconds = 0.0

    def append(self, job: Job) -> None:
        super().append(job)
        self.seconds += self._run_time.seconds(job.inference.rows)

    def popleft(self) -> Job:
        job = super().popleft()
        if self:
            self.seconds -= self._run_time.seconds(job.inference.rows)
        else:
            self.seconds = 0.0
        return job
