"""Speed ratio of two models, timed in turn.

Timed one after the other, the same variant had 0.65 and 1.15 times the speed within
minutes, because the machine's speed changes. The runs of a pair share each moment.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice

from model_server.buffers import Buffer
from model_server.runner import Run

from slipway.optimize.statistics import Interval, median_interval

SAMPLE_SECONDS = 0.005
"""The least that a sample lasts: one call of microseconds would be all noise."""
MOST_RUNS = 5000
Batch = Sequence[Buffer]
Stopwatch = Callable[[Run, Sequence[Batch]], float]
"""Seconds that a model takes for some runs."""


def cpu_seconds(run: Run, batches: Sequence[Batch]) -> float:
    """Return the CPU seconds of this thread only, without the machine's other work."""
    started = time.thread_time()
    for batch in batches:
        run(batch)
    return time.thread_time() - started


def seconds(run: Run, batches: Sequence[Batch]) -> float:
    """Return wall-clock seconds, for models that run in several threads."""
    started = time.perf_counter()
    for batch in batches:
        run(batch)
    return time.perf_counter() - started


def speed_ratio(
    before: Run,
    after: Run,
    batches: Sequence[Batch],
    pairs: int,
    stopwatch: Stopwatch = cpu_seconds,
) -> Interval:
    """How many times as fast the second is, with a 95 % interval of the median.

    `batches` are run in turn: the same rows again and again would flatter code that
    the processor can predict.
    """
    before_time, after_time = (
        _timer(run, batches, stopwatch) for run in (before, after)
    )
    ratios = []
    with _no_collection():
        for number in range(pairs):
            if number % 2:
                faster, slower = after_time(), before_time()
            else:
                slower, faster = before_time(), after_time()
            ratios.append(slower / faster)
    return median_interval(ratios)


def _timer(
    run: Run, batches: Sequence[Batch], stopwatch: Stopwatch
) -> Callable[[], float]:
    """Return what gives the seconds of one run, by a sample of the next batches."""
    once = stopwatch(run, batches[:1])
    runs = min(MOST_RUNS, max(1, math.ceil(SAMPLE_SECONDS / max(once, 1e-9))))
    source = cycle(batches)

    def sample() -> float:
        return stopwatch(run, list(islice(source, runs))) / runs

    return sample


@contextmanager
def _no_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
