"""Open-loop load through the gateway while something is disturbed, again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from slipway.bench.open_loop import Background, Bounds, Report, Target, constant

RATE = 250.0
"""Requests per second: a part of what two replicas sustain on two shared cores, so that
requests fail because of a disturbance, not the load itself."""
REQUESTS = 20_000
LIMIT_SECONDS = 420.0


def reason(_number: int, status: int, body: bytes) -> str:
    """The status, and of an error who says what: the gateway or the server."""
    if status == 200:
        return "200"
    return f"{status} {body[:200].decode(errors='replace')}"


@contextmanager
def load(
    url: str, body: bytes, rate: float = RATE, seconds: float = LIMIT_SECONDS
) -> Iterator[Background]:
    """Requests at a constant rate for as long as the block lasts; to loopback only."""
    assert url.startswith(("http://127.0.0.1:", "https://127.0.0.1:")), url
    bounds = Bounds(requests=int(rate * seconds))
    arrivals = constant(rate, seconds)
    with Background(Target(url, (body,)), arrivals, bounds, reason) as run:
        yield run


def under(
    url: str,
    body: bytes,
    disturb: Callable[[], None],
    rate: float = RATE,
    requests: int = REQUESTS,
) -> Report:
    """Disturbs as often as it takes to send so many requests."""
    times = 0
    with load(url, body, rate) as run:
        while run.report.sent < requests:
            assert run.is_running, f"only {run.report.sent} requests were sent"
            disturb()
            times += 1
    print(f"disturbed {times} times during {run.report.sent} requests")
    return run.report


def assert_none_lost(report: Report, requests: int = REQUESTS) -> None:
    assert report.sent >= requests, f"only {report.sent} requests were sent"
    lost = f"of {report.sent} requests: {report.failed}, first {report.failures[:5]}"
    assert report.failed == {}, lost
