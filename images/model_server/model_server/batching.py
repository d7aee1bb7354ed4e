"""Zero-wait micro-batching: what is queued runs as one batch, nothing waits for more.

The event loop reads all sockets that are ready, then calls `_flush`, so requests that
arrived together share one model run. A batch that takes longer than `INLINE_SECONDS`
runs on a thread, so that probes, new requests and refusals go on meanwhile; requests
that arrive during a run form the next batch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from model_server.buffers import Buffer, cut, join, row_bytes, size_of, sizes
from model_server.datatypes import TEXT
from model_server.errors import RequestError, deadline_exceeded, invalid, overloaded
from model_server.finite import refuse_non_finite
from model_server.logs import log_fault
from model_server.metrics import Histogram, ModelMetrics
from model_server.model import Model
from model_server.outputs import Array, Outputs, Results
from model_server.protocol import Inference
from model_server.run_time import Pace, RunTime
from model_server.runner import RefusedValuesError
from model_server.wording import without_values

if TYPE_CHECKING:
    from model_server.endpoint import Endpoint

INLINE_SECONDS = 0.002

Done = Callable[["Job", Outputs | RequestError], None]

logger = logging.getLogger("model_server.batching")


class Job:
    """One request in the queue; `done` is called once, in the event loop.

    `started_at` and `deadline` are seconds of `time.monotonic`, the loop's clock too.
    """

    __slots__ = (
        "as_text",
        "deadline",
        "done",
        "endpoint",
        "inference",
        "request_id",
        "respond",
        "respond_text",
        "started_at",
        "transport_done",
    )

    def __init__(  # noqa: PLR0917, keywords only would cost 0.8 us a request
        self,
        endpoint: Endpoint,
        inference: Inference,
        request_id: str,
        respond: Callable[..., None] | None,
        done: Done,
        transport_done: Done | None,
        started_at: float,
        deadline: float | None,
        as_text: bool,
        respond_text: Callable[[bytes, bytes], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.inference = inference
        self.request_id = request_id
        self.respond = respond
        self.respond_text = respond_text
        self.done = done
        self.transport_done = transport_done
        self.started_at = started_at
        self.deadline = deadline
        self.as_text = as_text


class Batcher:
    """The queue before one model."""

    def __init__(
        self,
        model: Model,
        metrics: ModelMetrics,
        run_time: RunTime,
        *,
        max_batch_rows: int,
        max_queue_rows: int,
        max_queue_bytes: int,
        max_wait_seconds: float,
    ) -> None:
        """`max_queue_bytes`: for all that waits; one request always may wait."""
        self._model = model
        self._max_batch_rows = max_batch_rows
        self._max_wait_seconds = max_wait_seconds
        self.queued_rows = 0
        self._running_rows = 0
        self._taken_at = 0.0
        self._queue: deque[Job] = deque()
        self._is_scheduled = False
        self._loop = asyncio.get_running_loop()
        self._batch_rows: Histogram = metrics.batch_rows
        self._queue_seconds: Histogram = metrics.queue_seconds
        tensors = model.manifest.inputs
        size = row_bytes(tensors)
        self._counts_bytes = size is None
        self._max_queue_bytes, self._queued_bytes = max_queue_bytes, 0
        most = max_queue_bytes // size if size else max_queue_rows
        self.max_queue_rows = max(1, min(max_queue_rows, most))
        # What rows of no fixed size take is not known by their number.
        is_fixed = all(tensor.is_fixed for tensor in tensors)
        self._inline_rows = run_time.rows_within(INLINE_SECONDS) if is_fixed else 0
        self._is_free = any(tensor.is_free for tensor in tensors)
        self._pace = Pace(run_time, max_batch_rows)
        self._thread = ThreadPoolExecutor(1, "model-run")

    def submit(self, job: Job) -> None:
        """Queue a job; raise `RequestError` when it would wait too long."""
        rows = job.inference.rows
        if self.queued_rows and self.queued_rows + rows > self.max_queue_rows:
            raise overloaded(
                f"{self.queued_rows} rows wait for the model already",
                self.expected_wait(),
            )
        if self.queued_rows and (job.deadline is not None or not self._goes_next(rows)):
            self._check_wait(job)
        if self._counts_bytes:
            self._count_bytes(job)
        self.queued_rows += rows
        self._queue.append(job)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _count_bytes(self, job: Job) -> None:
        """Count rows of no fixed size; refuse what is too much with the others."""
        size = _bytes_of(job)
        if self._queued_bytes and self._queued_bytes + size > self._max_queue_bytes:
            raise overloaded(
                f"{self._queued_bytes} bytes of values wait for the model already",
                self.expected_wait(),
            )
        self._queued_bytes += size

    def _let_go(self, jobs: list[Job], rows: int) -> None:
        """Give the places of jobs in the queue back."""
        self.queued_rows -= rows
        if self._counts_bytes:
            self._queued_bytes -= sum(map(_bytes_of, jobs))

    def _check_wait(self, job: Job) -> None:
        """Refuse early what would be refused, or given up by its client, later.

        What goes with the very next run is refused by its own deadline only, or a model
        whose runs take longer than the longest wait would stand idle between them.
        """
        rows = job.inference.rows
        wait = self.expected_wait()
        if wait > self._max_wait_seconds and not self._goes_next(rows):
            raise overloaded(
                f"the wait for the model would be {wait:.2g} s, "
                f"{self._max_wait_seconds:g} s is the most",
                wait,
            )
        if job.deadline is not None:
            needed = wait + self._pace.seconds(rows)
            if time.monotonic() + needed > job.deadline:
                raise overloaded(
                    f"the answer would take {needed:.2g} s, more than the request's "
                    "own deadline leaves",
                    wait,
                )

    def _goes_next(self, rows: int) -> bool:
        """Tell whether so many more rows would go with the very next run."""
        waiting = self.queued_rows - self._running_rows
        return waiting + rows <= self._max_batch_rows

    def _fits(self, rows: int) -> bool:
        """Tell whether requests of so many rows together may share a run."""
        return rows <= self._max_batch_rows

    def expected_wait(self) -> float:
        """Return the seconds until all that is queued now will be answered."""
        running, pace = self._running_rows, self._pace
        left = 0.0
        if running:
            elapsed = time.monotonic() - self._taken_at
            left = max(0.0, pace.seconds(running) - elapsed)
        return left + pace.seconds(self.queued_rows - running)

    def close(self) -> None:
        """Let the thread end; queued jobs have been answered before this is called."""
        self._thread.shutdown(wait=False)

    def _flush(self) -> None:
        jobs, rows = self._take()
        if not jobs:
            self._is_scheduled = False
            return
        self._running_rows = rows
        if rows <= self._inline_rows:
            self._finish(jobs, rows, self._compute(jobs))
            return
        future = self._loop.run_in_executor(self._thread, self._compute, jobs)
        future.add_done_callback(lambda done: self._finish(jobs, rows, done.result()))

    def _take(self) -> tuple[list[Job], int]:
        """Take jobs up to the batch limit; one larger than it goes alone."""
        queue = self._queue
        self._taken_at = now = time.monotonic()
        observe = self._queue_seconds.observe
        jobs: list[Job] = []
        rows = 0
        while queue:
            job = queue[0]
            more = rows + job.inference.rows
            if jobs and not (
                self._fits(more) and (not self._is_free or _same_sizes(jobs[0], job))
            ):
                break
            queue.popleft()
            observe(now - job.started_at)
            if job.deadline is not None and job.deadline <= now:
                self._let_go([job], job.inference.rows)
                self._answer(job, deadline_exceeded())
                continue
            jobs.append(job)
            rows = more
        return jobs, rows

    def _finish(
        self, jobs: list[Job], rows: int, results: list[Outputs | RequestError]
    ) -> None:
        self._let_go(jobs, rows)
        self._running_rows = 0
        self._batch_rows.observe(rows)
        has_more = bool(self._queue)
        if has_more:
            self._loop.call_soon(self._flush)
        else:
            self._is_scheduled = False
        for job, result in zip(jobs, results, strict=True):
            self._answer(job, result)
        if has_more or rows > self._inline_rows:
            self._pace.learn(rows, time.monotonic() - self._taken_at)

    def _answer(self, job: Job, result: Outputs | RequestError) -> None:
        try:
            job.done(job, result)
        except Exception as error:  # noqa: BLE001, costs no others' answers
            log_fields = job.endpoint.log_fields(job.request_id)
            log_fault(logger, "an answer could not be given", error, **log_fields)

    def _compute(self, jobs: list[Job]) -> list[Outputs | RequestError]:
        """Run jobs as one batch; a batch that fails is run again one by one."""
        try:
            return self._run(jobs)
        except RefusedValuesError as error:
            if len(jobs) == 1:
                words = self._words(error)
                return [invalid("inputs", f"the model refuses the values: {words}")]
        except Exception as error:  # noqa: BLE001, it is logged
            if len(jobs) == 1:
                words = self._words(error)
                log_fields = jobs[0].endpoint.log_fields(jobs[0].request_id)
                log_fault(logger, "the model raised", error, reason=words, **log_fields)
                return [RequestError(500, "model_failed", f"the model raised: {words}")]
        return [self._compute([job])[0] for job in jobs]

    def _words(self, error: Exception) -> str:
        """Return what the model's library says, as far as the log may have it too."""
        manifest = self._model.manifest
        if manifest.keeps_every_value:
            return str(error)
        has_texts = any(tensor.datatype == TEXT for tensor in manifest.inputs)
        return without_values(str(error), has_texts=has_texts)

    def _run(self, jobs: list[Job]) -> list[Outputs | RequestError]:
        if len(jobs) == 1:
            only = jobs[0].inference
            rows = only.rows
            batch = Results(self._run_in_parts(list(only.buffers), rows))
            results: list[Outputs | RequestError] = [Outputs(batch, 0, rows)]
        else:
            inputs = [job.inference for job in jobs]
            buffers = [
                join(parts)
                for parts in zip(*[item.buffers for item in inputs], strict=True)
            ]
            rows = sum([item.rows for item in inputs])
            batch = Results(self._run_in_parts(buffers, rows))
            results = []
            start = 0
            for item in inputs:
                stop = start + item.rows
                results.append(Outputs(batch, start, stop))
                start = stop
        # The text is made here, since a long run has a thread to make it on.
        if not _is_finite(batch, rows, as_text=_is_text_wanted(jobs)):
            asked = [job.inference for job in jobs]
            refuse_non_finite(self._model.manifest.outputs, asked, results)
        return results

    def _run_in_parts(self, buffers: list[Buffer], rows: int) -> list[Array]:
        """Run the model on at most the batch limit of rows at a time."""
        limit = self._max_batch_rows
        if rows <= limit:
            return self._model.run(buffers)
        parts = [
            self._model.run(
                [cut(buffer, rows, start, start + limit) for buffer in buffers]
            )
            for start in range(0, rows, limit)
        ]
        return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]


def _bytes_of(job: Job) -> int:
    return sum(map(size_of, job.inference.buffers))


def _is_text_wanted(jobs: list[Job]) -> bool:
    for job in jobs:  # noqa: SIM110, a generator would cost more than it saves
        if job.as_text:
            return True
    return False


def _is_finite(batch: Results, rows: int, *, as_text: bool) -> bool:
    """Tell it by the text, where one is needed: null is found in it at once."""
    if not as_text:
        return Outputs(batch, 0, rows).is_finite()
    for array, text in zip(batch.arrays, batch.texts(), strict=True):
        if array.dtype.kind == "f" and b"null" in b",".join(text):
            return False
    return True


def _same_sizes(first: Job, other: Job) -> bool:
    return sizes(first.inference.buffers) == sizes(other.inference.buffers)
