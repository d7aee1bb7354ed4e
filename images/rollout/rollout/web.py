"""Probes, metrics, and how each rollout stands, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from prometheus_client import generate_latest

from pod_parts.web import Server
from rollout import page
from rollout.metrics import MetricsCollector
from rollout.watched import Watched

PORT = 9479
LATE_SECONDS = 180.0
"""Without a tick for so long, be it one that failed, the loop counts as dead."""

Answer = tuple[HTTPStatus, str]


def server(port: int, watched: Mapping[str, Watched]) -> Server:
    started = time.time()

    def alive() -> Answer:
        newest = max([started, *(it.looked for it in watched.values())])
        if time.time() - newest < LATE_SECONDS:
            return HTTPStatus.OK, "alive"
        return HTTPStatus.INTERNAL_SERVER_ERROR, "the loop stands still"

    def metrics() -> Answer:
        return HTTPStatus.OK, generate_latest(MetricsCollector(watched)).decode()

    known: dict[str, Callable[[], Answer]] = {
        "/metrics": metrics,
        "/livez": alive,
        "/readyz": lambda: (HTTPStatus.OK, "ready"),
        "/rollouts": lambda: _json(page.of_all(watched)),
    }

    def pages(path: str) -> Answer:
        if make := known.get(path):
            return make()
        if found := watched.get(path.removeprefix("/rollouts/")):
            return _json(page.of_one(found))
        return HTTPStatus.NOT_FOUND, f"nothing at {path}"

    return Server("", port, pages)


def _json(found: object) -> Answer:
    return HTTPStatus.OK, json.dumps(found, indent=1)
