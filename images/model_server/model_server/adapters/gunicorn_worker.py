"""gunicorn's worker with threads, without its three causes of waiting clients.

At its end gunicorn's own goes on listening while it finishes: the kernel connects
clients that nobody will answer, and all are cut off at the exit. Callers and proxies
can do something about a refusal, nothing about that.

And it closes a connection in its only loop, where it waits up to two seconds for the
client to close too: one who does not keeps everybody else waiting.

And any number of requests wait for a thread, for any time. Here one that would wait, or
has waited, longer than MODEL_SERVER_MAX_WAIT_SECONDS gets the model server's 503, in a
thread that is kept for that; probes and metrics are answered there too.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker

from model_server.adapters import registry
from model_server.adapters.line import Line
from model_server.adapters.registry import ANNOUNCE_CLOSE
from model_server.adapters.wsgi import fields, must_close, text
from model_server.errors import RequestError, overloaded

NEVER_REFUSED = frozenset(
    {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
)
"""Paths that show the overload to operators do not take a caller's thread."""


class Worker(ThreadWorker):  # type: ignore[misc, unused-ignore]
    """Ends like the model server: takes what has connected, then refuses at once."""

    wsgi: Any
    max_wait_seconds = 1.0
    """Longest wait for a thread; the configuration sets it."""

    def init_process(self) -> None:
        """Start, in the worker's own process."""
        self._closers = ThreadPoolExecutor(self.cfg.threads, "closing")
        self._refusers = ThreadPoolExecutor(self.cfg.threads, "refusing")
        self._line = Line(self.cfg.threads)
        self._refusal = threading.local()
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, to be called for what is not refused."""
        super().load_wsgi()
        application = self.wsgi

        def bounded(environ: dict[str, Any], start_response: Any) -> Any:
            close = start_response.__self__.force_close
            environ[ANNOUNCE_CLOSE] = close
            # Nobody here takes an offer up; Werkzeug answers 400 to one of WebSocket.
            environ.pop("HTTP_UPGRADE", None)
            error = getattr(self._refusal, "error", None)
            if error is None or environ["PATH_INFO"] in NEVER_REFUSED:
                return application(environ, start_response)
            if must_close(environ):
                close()
            return _refuse(environ, start_response, error)

        self.wsgi = bounded

    def enqueue_req(self, conn: Any) -> None:
        """Have a connection's request answered, or refused if it would wait long."""
        wait = self._line.wait_seconds
        if wait > self.max_wait_seconds:
            answering = self._refusers.submit(self._handle_refused, conn, wait)
        else:
            answering = self.tpool.submit(
                self._handle_in_turn, conn, self._line.enter()
            )
        answering.add_done_callback(
            lambda it: self.method_queue.defer(self.finish_request, conn, it)
        )

    def _handle_in_turn(self, conn: Any, entered_at: float) -> Any:
        waited = self._line.leave(entered_at)
        if waited > self.max_wait_seconds:
            return self._handle_refused(conn, self._line.wait_seconds)
        started = time.monotonic()
        result = self.handle(conn)
        if result is not _DEFER:
            self._line.learn(time.monotonic() - started)
        return result

    def _handle_refused(self, conn: Any, wait: float) -> Any:
        if self.alive and not conn.initialized and not conn.wait_for_data(0):
            return _DEFER  # it has connected only: nothing to refuse yet
        self._refusal.error = overloaded("too many requests wait for a thread", wait)
        try:
            return self.handle(conn)
        finally:
            self._refusal.error = None

    def set_accept_enabled(self, enabled: bool) -> None:
        """Listen or not, as gunicorn asks; at the end, for good."""
        super().set_accept_enabled(enabled)
        while self.sockets and not self.alive:
            listener = self.sockets.pop()
            self._take_the_rest(listener)
            listener.close()

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Keep the connection, or close it where nobody else waits for it."""
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
            return
        closing = self._closers.submit(conn.close, graceful=True)
        closing.add_done_callback(lambda _: self.method_queue.defer(self._closed))

    def _closed(self) -> None:
        self.nr_conns -= 1

    def _take_the_rest(self, listener: Any) -> None:
        """Accept those whom the kernel has connected already, at most its backlog."""
        listener.setblocking(False)
        before = -1
        while before != self.nr_conns:
            before = self.nr_conns
            self.accept(listener)


def _refuse(
    environ: dict[str, Any], start_response: Any, error: RequestError
) -> list[bytes]:
    """Answer as the first predictor's server does, which counts it."""
    status, headers, body = registry.predictors[0].refuse(
        environ["REQUEST_METHOD"], environ["PATH_INFO"], fields(environ), error
    )
    start_response(f"{status} Service Unavailable", text(headers))
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
