"""Probes, metrics, and why each rollout waits, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from prometheus_client import generate_latest

from pod_parts.web import Server
from rollout import record
from rollout.metrics import MetricsCollector
from rollout.verdict import Outcome
from rollout.watched import Watched

PORT = 9479
LATE_SECONDS = 180.0
"""Without a tick for so long, be it one that failed, the loop counts as dead."""


def plain(outcome: Outcome) -> dict[str, Any]:
    """As JSON without fractions, which has no infinite ones."""
    return {
        "verdict": outcome.verdict.value,
        "reason": outcome.reason,
        "judgements": [record.plain(it) for it in outcome.judgements],
    }


def server(port: int, watched: Mapping[str, Watched]) -> Server:
    started = time.time()

    def pages(path: str) -> tuple[HTTPStatus, str]:
        if path == "/metrics":
            return HTTPStatus.OK, generate_latest(MetricsCollector(watched)).decode()
        if path == "/livez":
            newest = max([started, *(it.looked for it in watched.values())])
            if time.time() - newest < LATE_SECONDS:
                return HTTPStatus.OK, "alive"
            return HTTPStatus.INTERNAL_SERVER_ERROR, "the loop stands still"
        if path == "/readyz":
            return HTTPStatus.OK, "ready"
        if found := watched.get(path.removeprefix("/rollouts/")):
            outcome = plain(found.outcome) if found.outcome else None
            return HTTPStatus.OK, json.dumps(outcome, indent=1)
        return HTTPStatus.NOT_FOUND, f"nothing at {path}"

    return Server("", port, pages)
