"""Probes and metrics over HTTP, for programs of threads: short pages, few callers."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from pod_parts.log import Log

log = Log("web", "stderr")
TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of every page: Prometheus' format is text, and so are the others."""
READ_SECONDS = 5.0
CONNECTION_SECONDS = 5.0
"""Seconds from a connection's start to its end, whatever the caller sends."""
MAXIMUM_CONNECTIONS = 16

Pages = Callable[[str], tuple[HTTPStatus, str]]
"""The status and the text at a path; NOT_FOUND where there is none."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = READ_SECONDS
    server: Server

    def do_GET(self) -> None:
        status, text = self.server.pages(self.path.partition("?")[0])
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", TEXT)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing of probes and scrapes."""


class Server(ThreadingTCPServer):
    """A thread per connection, for so long and so many; one more closes the oldest.

    HTTPServer would look its own name up in the DNS, and wait where there is none.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    """Connections that wait to be accepted. Of more, the kernel lets the caller ask
    again after a second: with the 5 of socketserver, a probe's among a few others."""

    def __init__(self, host: str, port: int, pages: Pages) -> None:
        """Listen at an address, or at all of IPv4 where it is empty; raise OSError."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)
        self.pages = pages
        self._slots = threading.BoundedSemaphore(MAXIMUM_CONNECTIONS)
        self._open: dict[Any, None] = {}
        """Connections that are served, the oldest first."""
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in the background, until the process ends."""
        # Nothing shuts the loop down: it has no reason to wake up twice a second.
        serve = threading.Thread(
            target=self.serve_forever, args=(3600,), name="web", daemon=True
        )
        serve.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            # A page takes milliseconds: the oldest caller is one that sends nothing.
            self._close_oldest()
            self._slots.acquire()
        with self._lock:
            self._open[request] = None
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._release(request)
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
            self._release(request)

    def _close_oldest(self) -> None:
        with self._lock:
            oldest = next(iter(self._open), None)
            if oldest is not None:
                _shut(oldest)

    def _release(self, request: Any) -> None:
        with self._lock:
            del self._open[request]
        self._slots.release()

    def handle_error(self, *_: object) -> None:
        """Log errors, but not callers that close their connection early."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log(f"a page could not be answered: {error!r}", level="error")


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
