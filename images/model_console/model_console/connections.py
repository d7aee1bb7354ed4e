"""Limits on the number and the duration of readers' connections.

The port of probes and metrics is not bounded here: the network policy admits
Prometheus' namespace and the node alone.
"""

from __future__ import annotations

import logging
from typing import Any

from bounded_http import connections as bounded_http
from bounded_http.connections import HEAD_SECONDS

logger = logging.getLogger("model_console.connections")
MOST = 64
"""Connections of readers at the same time; more are closed at once."""
ANSWER_SECONDS = 120.0
"""A page must have been made, and been taken by its reader, after so long."""


def protocol(unbounded_port: int) -> Any:
    """Return uvicorn's protocol of each connection."""
    bounds = bounded_http.Bounds(
        most=MOST,
        head_seconds=HEAD_SECONDS,
        answer_seconds=ANSWER_SECONDS,
        free_ports=frozenset({unbounded_port}),
    )
    return bounded_http.protocol(bounds, _refused)


def _refused() -> None:
    logger.warning("too many connections; one was closed")
