"""Open-loop load: requests start when their time has come, whatever became of others.

A slow server meets the same arrivals as a fast one, and latencies count from the time
at which a request was *meant* to be sent, so that a pause shows in every request that
it delayed (no coordinated omission). The generator also accounts for itself: how late
it was at each arrival; a run in which it was too late says nothing about the server
and is not valid.

    report = run(Target(url, (body,)), constant(rate=500, seconds=10))
    report.failed, report.percentile(0.99), report.goodput, report.invalid

    with Background(Target(url, bodies), sine(50, 200, 60, seconds=600)) as load:
        ...                       # disturb the server; load.report grows meanwhile
    assert not load.report.failed # the block's end stops it and waits for answers

- `Target(url, bodies, headers, method, tls)`: the n-th request carries body n modulo
  their number.
- Schedules give the seconds after the start at which requests are to be sent:
  `constant(rate, seconds)`, `sine(low, high, period, seconds)`, or any ascending
  iterable of floats, such as `varying(rate_at, seconds)` makes.
- `run(target, schedule, bounds, judge)` blocks; `await OpenLoop(...).run()` does not,
  and `stop()` ends it early, after the answers to what was sent.
- `judge(number, status, body)` names each answer's outcome; outcomes that start with
  "2" are good. Without one it is the status. What had no answer is named by its error:
  Timeout, ConnectionClosed, ConnectionRefusedError, NotSent (no connection was free).
- `Bounds` end every run: requests in all, connections, seconds for an answer.

Runs on one core; it keeps time to some 0.1 ms up to about 5,000 requests/s.
"""

from __future__ import annotations

import asyncio
import math
import select
import selectors
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Self

from slipway.bench.http_client import Connection, Target
from slipway.bench.report import Report

__all__ = [
    "Background",
    "Bounds",
    "OpenLoop",
    "Report",
    "Target",
    "constant",
    "run",
    "sine",
    "varying",
]

SWEEP_SECONDS = 0.05
"""Interval of the check for requests that have timed out."""

STOP_SECONDS = 0.1
"""Longest time until a stop takes effect."""

Judge = Callable[[int, int, bytes], str]
"""Returns the outcome for (number of the request, status, body)."""


def _by_status(_number: int, status: int, _body: bytes) -> str:
    return str(status)


def constant(rate: float, seconds: float) -> Iterator[float]:
    """`rate` requests per second, evenly spaced."""
    return (number / rate for number in range(math.ceil(rate * seconds)))


def varying(rate_at: Callable[[float], float], seconds: float) -> Iterator[float]:
    """`rate_at` returns the requests per second at each time; above 0."""
    now = 0.0
    while now < seconds:
        yield now
        now += 1 / rate_at(now)


def sine(low: float, high: float, period: float, seconds: float) -> Iterator[float]:
    """A rate that swings between `low` and `high` every `period` s, from `low`."""
    middle, swing = (low + high) / 2, (high - low) / 2
    return varying(
        lambda now: middle - swing * math.cos(2 * math.pi * now / period), seconds
    )


@dataclass(frozen=True)
class Bounds:
    """Limits of every run."""

    requests: int = 1_000_000
    connections: int = 256
    timeout_seconds: float = 20.0
    """From the intended start of a request to the end of its response."""
    late_seconds: float = 0.010
    """A run is not valid if 1 % of requests were started later than this."""


@dataclass(slots=True)
class _Request:
    number: int
    meant: float
    connection: Connection | None = None
    is_over: bool = False


class OpenLoop:
    """One run; `report` grows while it lasts."""

    def __init__(
        self,
        target: Target,
        schedule: Iterable[float],
        bounds: Bounds | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.report = Report()
        self._bounds = bounds or Bounds()
        self._target, self._payloads = target, target.requests()
        self._schedule = islice(iter(schedule), self._bounds.requests)
        self._judge = judge
        self._idle: list[Connection] = []
        self._asked: dict[Connection, _Request] = {}
        self._connections: set[Connection] = set()
        self._dialing: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Request] = deque()
        self._open: deque[_Request] = deque()
        self._over = asyncio.Event()
        self._unfinished = 0
        self._sent_all = False
        self._stopping = False

    def stop(self) -> None:
        """Send no more; the run ends when what was sent is answered or timed out."""
        self._stopping = True

    async def run(self) -> Report:
        """Run to the end of the schedule, or until `stop` is called."""
        self._loop = asyncio.get_running_loop()
        host, port = self._target.address
        found = await self._loop.getaddrinfo(host, port, proto=6)
        self._address: tuple[str, int] = found[0][4][:2]  # type: ignore[assignment]
        self._host = host
        self._tls = self._target.context
        self._start = self._loop.time()
        self.report.late_limit_seconds = self._bounds.late_seconds
        sweeper = self._loop.create_task(self._sweep())
        try:
            await self._send_all()
            self._sent_all = True
            if self._unfinished:
                await self._over.wait()
        finally:
            sweeper.cancel()
            for task in self._dialing:
                task.cancel()
            for connection in list(self._connections):
                connection.close()
            await asyncio.gather(sweeper, *self._dialing, return_exceptions=True)
        self.report.seconds = self._loop.time() - self._start
        return self.report

    async def _send_all(self) -> None:
        for number, offset in enumerate(self._schedule):
            meant = self._start + offset
            # An Event with a timeout would cost as much as the request itself.
            while (wait := meant - self._loop.time()) > 0 and not self._stopping:  # noqa: ASYNC110
                await asyncio.sleep(min(wait, STOP_SECONDS))
            if self._stopping:
                self.report.stopped = True
                return
            self._begin(_Request(number, meant))
            if number % 16 == 15:  # late: read responses in between
                await asyncio.sleep(0)

    def _begin(self, request: _Request) -> None:
        self.report.begun(self._loop.time() - request.meant)
        self._open.append(request)
        self._unfinished += 1
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                self._ask(connection, request)
                return
        self._waiting.append(request)
        self._open_another()

    def _open_another(self) -> None:
        if len(self._connections) + len(self._dialing) < self._bounds.connections:
            task = self._loop.create_task(self._dial())
            self._dialing.add(task)
            task.add_done_callback(self._dialing.discard)

    def _ask(self, connection: Connection, request: _Request) -> None:
        request.connection = connection
        self._asked[connection] = request
        connection.send(self._payloads[request.number % len(self._payloads)])

    async def _dial(self) -> None:
        """Open one more connection, for the request that has waited longest."""
        try:
            async with asyncio.timeout(self._bounds.timeout_seconds):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._answered, self._broken),
                    *self._address,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except OSError as error:
            if request := self._next_waiting():
                self._end(request, type(error).__name__)
            return
        self._connections.add(connection)
        self._free(connection)

    def _next_waiting(self) -> _Request | None:
        while self._waiting:
            request = self._waiting.popleft()
            if not request.is_over:
                return request
        return None

    def _free(self, connection: Connection) -> None:
        if request := self._next_waiting():
            self._ask(connection, request)
        else:
            self._idle.append(connection)

    def _answered(self, connection: Connection, status: int, body: bytes) -> None:
        request = self._asked.pop(connection)
        judge = self._judge
        self._end(
            request, judge(request.number, status, body) if judge else f"{status}"
        )
        if connection.usable:
            self._free(connection)

    def _broken(self, connection: Connection, reason: str) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if request := self._asked.pop(connection, None):
            self._end(request, reason)
        if self._waiting:  # not for this one any more
            self._open_another()

    def _end(self, request: _Request, outcome: str) -> None:
        if request.is_over:
            return
        request.is_over = True
        now = self._loop.time()
        self.report.ended(request.meant - self._start, now - request.meant, outcome)
        self._unfinished -= 1
        if self._sent_all and not self._unfinished:
            self._over.set()

    async def _sweep(self) -> None:
        """End requests that have timed out, and forget those that are complete."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            oldest = self._loop.time() - self._bounds.timeout_seconds
            while self._open and (
                self._open[0].is_over or self._open[0].meant < oldest
            ):
                request = self._open.popleft()
                if request.is_over:
                    continue
                self._end(request, "Timeout" if request.connection else "NotSent")
                if request.connection:
                    request.connection.close()


class _PreciseSelector(selectors.EpollSelector):
    """Times out to the microsecond; epoll's own timeouts are whole milliseconds."""

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and 0 < timeout < 0.05:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that wakes on time."""
    return asyncio.SelectorEventLoop(_PreciseSelector())


def run(
    target: Target,
    schedule: Iterable[float],
    bounds: Bounds | None = None,
    judge: Judge | None = None,
) -> Report:
    """Do one run in this thread, to its end."""
    with asyncio.Runner(loop_factory=event_loop) as runner:
        return runner.run(OpenLoop(target, schedule, bounds, judge).run())


class Background:
    """A run in a separate thread; leaving the block stops it and waits for it."""

    def __init__(
        self,
        target: Target,
        schedule: Iterable[float],
        bounds: Bounds | None = None,
        judge: Judge | None = None,
    ) -> None:
        self._generator = OpenLoop(target, schedule, bounds, judge)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="open-loop")

    @property
    def report(self) -> Report:
        return self._generator.report

    @property
    def is_running(self) -> bool:
        """Return whether the schedule has not ended yet."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._generator.stop()
        self.wait()

    def wait(self) -> Report:
        """Wait for the schedule's end; raise the error that ended the run early."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.report

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=event_loop) as runner:
                runner.run(self._generator.run())
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            self._error = error
