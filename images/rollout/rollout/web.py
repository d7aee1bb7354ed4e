"""Probes, metrics, and why each rollout waits, over HTTP."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from prometheus_client import generate_latest

from rollout import record
from rollout.figures import Figures
from rollout.verdict import Outcome
from rollout.watched import Watched

PORT = 9479
TIMEOUT_SECONDS = 5.0
CONNECTION_SECONDS = 5.0
"""From a connection's begin to its end, whatever the caller sends or takes."""
MAXIMUM_CONNECTIONS = 16
LATE_SECONDS = 180.0
"""Without a tick for so long, the loop counts as dead."""


def plain(outcome: Outcome) -> dict[str, Any]:
    """As JSON without fractions, which has no infinite ones."""
    return {
        "verdict": outcome.verdict.value,
        "reason": outcome.reason,
        "judgements": [record.plain(it) for it in outcome.judgements],
    }


class Handler(BaseHTTPRequestHandler):
    """One request; the class made by `server` has the rollouts."""

    timeout = TIMEOUT_SECONDS
    watched: ClassVar[Mapping[str, Watched]]
    started: ClassVar[float]

    def do_GET(self) -> None:
        status, text = self._answer()
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self) -> tuple[HTTPStatus, str]:
        if self.path == "/metrics":
            return HTTPStatus.OK, generate_latest(Figures(self.watched)).decode()
        if self.path == "/livez":
            newest = max([self.started, *(it.ticked for it in self.watched.values())])
            if time.time() - newest < LATE_SECONDS:
                return HTTPStatus.OK, "alive"
            return HTTPStatus.INTERNAL_SERVER_ERROR, "no tick comes to its end"
        if self.path == "/readyz":
            return HTTPStatus.OK, "ready"
        if found := self.watched.get(self.path.removeprefix("/rollouts/")):
            outcome = plain(found.outcome) if found.outcome else None
            return HTTPStatus.OK, json.dumps(outcome, indent=1)
        return HTTPStatus.NOT_FOUND, f"nothing at {self.path}"

    def log_message(self, *_: object) -> None:
        """Says nothing of probes and scrapes."""


class Server(ThreadingHTTPServer):
    """A thread per connection, for so long and so many; more wait in line."""

    daemon_threads = True

    def __init__(self, port: int, handler: type[Handler]) -> None:
        super().__init__(("", port), handler)
        self._slots = threading.BoundedSemaphore(MAXIMUM_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._slots.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # The handler's own timeout begins anew with each byte.
        end = threading.Timer(CONNECTION_SECONDS, _shut, [request])
        end.daemon = True
        try:
            end.start()
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._slots.release()

    def handle_error(self, *_: object) -> None:
        """A caller that closes its connection early is no fault."""


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def server(port: int, watched: Mapping[str, Watched]) -> Server:
    attributes = {"watched": watched, "started": time.time()}
    return Server(port, type("Handler", (Handler,), attributes))
