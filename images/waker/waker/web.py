"""The ASGI application: a port for each model, one for probes and metrics."""

from __future__ import annotations

from prometheus_client import generate_latest

from waker.connections import Bound
from waker.keeper import Keeper
from waker.metrics import MetricsCollector
from waker.proxy import Message, Proxy, Receive, Send
from waker.settings import METRICS_PORT

_TEXT = [(b"content-type", b"text/plain; version=0.0.4")]


class Application:
    """The ASGI application."""

    def __init__(self, keeper: Keeper, proxy: Proxy, bound: Bound) -> None:
        self._keeper, self._proxy = keeper, proxy
        self._metrics = MetricsCollector(keeper, bound)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        port = scope["server"][1]
        if kept := self._keeper.kept.get(port):
            await self._proxy(kept, scope, receive, send)
            return
        status, text = self._own(scope["path"]) if port == METRICS_PORT else (404, "")
        start = {"status": status, "headers": _TEXT}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": text.encode()})

    def _own(self, path: str) -> tuple[int, str]:
        if path == "/metrics":
            return 200, generate_latest(self._metrics).decode()
        if path == "/readyz":
            ready = self._keeper.is_ready
            return (200, "ready") if ready else (503, "no fresh look at the models")
        if path == "/livez":
            return 200, "alive"
        return 404, f"nothing at {path}"
