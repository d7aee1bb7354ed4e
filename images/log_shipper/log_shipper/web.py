"""Probes and metrics.

GET /healthz   200 while the process runs; it ends when its work cannot go on GET
/readyz    200 once the folder was read; a sink that fails changes nothing, because a
model's pod must not leave its Service because of its log GET /metrics   Prometheus text
"""

from __future__ import annotations

import threading
from http import HTTPStatus

from prometheus_client import generate_latest

from log_shipper.metrics import MetricsCollector
from pod_parts import web


class Server(web.Server):
    """The pages of one shipper."""

    def __init__(
        self, host: str, port: int, metrics: MetricsCollector, is_ready: threading.Event
    ) -> None:
        """Listen; raise OSError."""
        super().__init__(host, port, self._page)
        self.metrics, self.is_ready = metrics, is_ready

    def _page(self, path: str) -> tuple[HTTPStatus, str]:
        if path == "/metrics":
            return HTTPStatus.OK, generate_latest(self.metrics).decode()
        if path == "/readyz" and not self.is_ready.is_set():
            return HTTPStatus.SERVICE_UNAVAILABLE, "folder not read yet\n"
        if path in {"/healthz", "/readyz"}:
            return HTTPStatus.OK, "ok\n"
        return HTTPStatus.NOT_FOUND, "no such page\n"
