"""gunicorn's worker with threads, without its two ways to keep clients waiting.

At its end gunicorn's own goes on listening while it finishes: the kernel connects
clients that nobody will answer, and all are cut off at the exit. Callers and proxies
can do something about a refusal, nothing about that.

And it closes a connection in its only loop, where it waits up to two seconds for the
client to close too: one who does not keeps everybody else waiting.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from model_server.adapters.registry import ANNOUNCE_CLOSE


class Worker(ThreadWorker):  # type: ignore[misc, unused-ignore]
    """Ends like the model server: takes what has connected, then refuses at once."""

    wsgi: Any

    def init_process(self) -> None:
        """Start, in the worker's own process."""
        self._closers = ThreadPoolExecutor(self.cfg.threads, "closing")
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, and let it end a connection after its answer."""
        super().load_wsgi()
        application = self.wsgi

        def announcing(environ: dict[str, Any], start_response: Any) -> Any:
            environ[ANNOUNCE_CLOSE] = start_response.__self__.force_close
            return application(environ, start_response)

        self.wsgi = announcing

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
