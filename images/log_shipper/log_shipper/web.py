"""Probes and metrics.

GET /healthz   200 while the process runs; it ends when its work cannot go on
GET /readyz    200 once the folder was read; a sink that fails changes nothing, because
               a model's pod must not leave its Service for the sake of its log
GET /metrics   Prometheus text
"""

from __future__ import annotations

import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from log_shipper.figures import Figures

REQUEST_SECONDS = 5.0
MAXIMUM_REQUESTS = 8


class Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = REQUEST_SECONDS
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        status, content = HTTPStatus.OK, b"ok\n"
        if path == "/metrics":
            content = generate_latest(self.server.figures)
        elif path == "/readyz" and not self.server.is_ready.is_set():
            status, content = HTTPStatus.SERVICE_UNAVAILABLE, b"folder not read yet\n"
        elif path not in {"/healthz", "/readyz"}:
            status, content = HTTPStatus.NOT_FOUND, b"no such page\n"
        self.send_response(status)
        self.send_header("content-type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Probes and scrapes are not logged."""


class Server(ThreadingTCPServer):
    """A thread per request, at most MAXIMUM_REQUESTS of them; more wait in line.

    HTTPServer would look its own name up in the DNS, and wait where there is none.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self, host: str, port: int, figures: Figures, is_ready: threading.Event
    ) -> None:
        """Listen; raise OSError."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)
        self.figures, self.is_ready = figures, is_ready
        self._slots = threading.BoundedSemaphore(MAXIMUM_REQUESTS)

    def start(self) -> None:
        """Serve in the background, until the process ends."""
        # Nothing shuts the loop down: it has no reason to wake up twice a second.
        serve = threading.Thread(
            target=self.serve_forever, args=(3600,), name="web", daemon=True
        )
        serve.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._slots.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, *_: object) -> None:
        """A caller that closes its connection early is no fault."""
