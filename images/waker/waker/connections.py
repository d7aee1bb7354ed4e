"""Limits on the number of connections, and on their time for an incomplete request.

Requests in progress have separate limits (buffer.py).
"""

from __future__ import annotations

import math
import resource
import time
from typing import Any

from bounded_http import connections as bounded_http
from bounded_http.connections import HEAD_SECONDS
from waker.log import log
from waker.settings import METRICS_PORT

BESIDE = 1024
"""Connections beyond those of held requests: idle ones that the gateway keeps."""
ENOUGH_FILES = 1 << 20
LOG_INTERVAL_SECONDS = 60.0
"""Between two lines of the log about closed connections."""


class Bound:
    """Limits on callers' connections; probes and metrics have a separate port."""

    def __init__(self, held: int) -> None:
        """`held`: requests that may be held at once, which all have one."""
        self.most = min(held + BESIDE, _files() // 2)
        self.closed = 0
        """Connections that were one too many."""
        self._logged_at = -math.inf

    def refuse(self) -> None:
        self.closed += 1
        if time.monotonic() - self._logged_at > LOG_INTERVAL_SECONDS:
            self._logged_at = time.monotonic()
            text = "too many connections; new ones are closed"
            log(text, level="warning", most=self.most, closed=self.closed)


def _files() -> int:
    """Files that the process may have open: as many as it is allowed to ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def protocol(bound: Bound) -> Any:
    """What uvicorn makes of each connection; an answer may take as long as it takes."""
    bounds = bounded_http.Bounds(
        most=bound.most,
        head_seconds=HEAD_SECONDS,
        free_ports=frozenset({METRICS_PORT}),
    )
    return bounded_http.protocol(bounds, bound.refuse)
