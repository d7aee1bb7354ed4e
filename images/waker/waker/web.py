"""The ASGI application: a port for each model, one for probes and metrics."""

from __future__ import annotations

from collections.abc import Iterator

from waker.buffer import Refusal
from waker.connections import Bound
from waker.keeper import Keeper
from waker.proxy import Message, Proxy, Receive, Send
from waker.settings import METRICS_PORT

_TEXT = [(b"content-type", b"text/plain; version=0.0.4")]


class Application:
    """What uvicorn calls for each request."""

    def __init__(self, keeper: Keeper, proxy: Proxy, bound: Bound) -> None:
        self._keeper, self._proxy, self._bound = keeper, proxy, bound

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
            return 200, metrics(self._keeper, self._bound)
        if path == "/readyz":
            ready = self._keeper.is_ready
            return (200, "ready") if ready else (503, "no fresh look at the models")
        if path == "/livez":
            return 200, "alive"
        return 404, f"nothing at {path}"


def metrics(keeper: Keeper, bound: Bound) -> str:
    """Prometheus text; `target` is the model server that a series is about."""
    lines = [
        "# HELP waker_errors_total Rounds that the API server failed.",
        "# TYPE waker_errors_total counter",
        f"waker_errors_total {keeper.errors}",
        "# HELP waker_connections_closed_total Connections that were one too many.",
        "# TYPE waker_connections_closed_total counter",
        f"waker_connections_closed_total {bound.closed}",
    ]
    for name, kind, text, samples in _families(keeper):
        lines += [f"# HELP waker_{name} {text}", f"# TYPE waker_{name} {kind}"]
        lines += [f"waker_{name}{{{labels}}} {value:.15g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _families(
    keeper: Keeper,
) -> Iterator[tuple[str, str, str, list[tuple[str, float]]]]:
    all_kept = [(f'target="{k.model.name}"', k) for k in keeper.kept.values()]
    yield (
        "asleep",
        "gauge",
        "Whether it has no replicas.",
        [(target, float(k.asleep)) for target, k in all_kept],
    )
    yield (
        "held",
        "gauge",
        "Requests that wait or are forwarded.",
        [(target, len(k.buffer)) for target, k in all_kept],
    )
    yield (
        "wakes_total",
        "counter",
        "Times that it woke.",
        [(target, k.counts["wakes"]) for target, k in all_kept],
    )
    yield (
        "wake_seconds_total",
        "counter",
        "Time until a pod was ready, of all wakes.",
        [(target, k.wake_seconds) for target, k in all_kept],
    )
    yield (
        "refused_total",
        "counter",
        "Requests refused here, by what was too much or too slow.",
        [
            (f'{target},reason="{reason.value}"', k.counts[reason.value])
            for target, k in all_kept
            for reason in Refusal
        ],
    )
    yield (
        "forwarded_total",
        "counter",
        "Requests forwarded, by the answer's status.",
        [
            (f'{target},status="{status}"', number)
            for target, k in all_kept
            for status, number in sorted(k.counts.items())
            if status.isdigit()
        ],
    )
