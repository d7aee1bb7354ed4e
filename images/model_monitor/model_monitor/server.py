"""The service: receiver, metrics and probes in front, the cycle in a thread."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus

import uvicorn
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from model_monitor import api
from model_monitor.attributions import routes as attribution_routes
from model_monitor.attributions.collector import AttributionsCollector
from model_monitor.config import Config
from model_monitor.experiments import routes as experiment_routes
from model_monitor.figures import results
from model_monitor.intervals import routes as interval_routes
from model_monitor.metrics import CycleState, ResultsCollector, Values
from model_monitor.receiver import HANDLERS, Counters, ReceiverSettings, routes
from model_monitor.retraining.collector import RetrainingCollector
from model_monitor.store import Limits, Store
from model_monitor.worker import Worker

logger = logging.getLogger("model_monitor.server")

LABELS = "/v1/labels"
NOT_HERE = {
    "error": {
        "code": "not_found",
        "message": "this port takes labels only",
        "fix": f"POST {LABELS}",
    }
}
GRACE_SECONDS = 20
"""For requests in flight when the service ends."""


class LabelsAlone:
    """Accepts only label requests, on a port that may be open to many."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app, self._port = app, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_http = scope["type"] == "http"
        if is_http and scope["server"][1] == self._port and scope["path"] != LABELS:
            answer = JSONResponse(NOT_HERE, HTTPStatus.NOT_FOUND)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """Ends by `should_exit` only; this program itself handles signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def application(
    config: Config,
    store: Store,
    worker: Worker,
    *,
    registry: CollectorRegistry,
    counters: Counters,
    state: CycleState,
) -> Starlette:
    """Return everything that the service answers. The store must be open."""

    def metrics(_: Request) -> Response:
        # Not a coroutine: a thread reads results while requests are served.
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return Response(generate_latest(registry), headers=headers)

    async def healthz(_: Request) -> Response:
        if not worker.is_alive:
            return JSONResponse({"status": "the cycle has ended"}, 503)
        if not store.landing.is_dir():
            return JSONResponse({"status": "the store is not there"}, 503)
        return JSONResponse({"status": "ok"})

    limits = Limits(memory_mib=config.memory_mib)
    settings = ReceiverSettings(
        log_tokens=config.log_tokens, label_tokens=config.label_tokens
    )
    own: list[BaseRoute] = [
        Route("/metrics", metrics),
        Route("/healthz", healthz),
        Route("/readyz", healthz),
        *attribution_routes.routes(config, store),
        *api.routes(config, store, state),
        *interval_routes.routes(config, store),
        *experiment_routes.routes(config, store),
    ]
    return Starlette(
        routes=own + routes(store, settings, counters, limits),
        exception_handlers=HANDLERS,
    )


def serve(config: Config, store: Store) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. The store must be open."""
    return asyncio.run(_serve(config, store))


async def _serve(config: Config, store: Store) -> int:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry(auto_describe=False)
    counters = Counters(registry, [it.name for it in config.models])
    state = CycleState()
    worker = Worker(config, store, state, counters)

    def found() -> list[Values]:
        paths = [store.results / f"{it.name}.json" for it in config.models]
        return [it for it in map(results.read, paths) if it is not None]

    registry.register(ResultsCollector(config, found, state))
    registry.register(RetrainingCollector(config, store))
    registry.register(AttributionsCollector(config, found))
    app = application(
        config, store, worker, registry=registry, counters=counters, state=state
    )
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with _listening(config) as listeners:
        worker.start(lambda: loop.call_soon_threadsafe(stop.set))
        numbers = [listener.getsockname()[1] for listener in listeners]
        if config.labels_port is not None:
            server.config.app = LabelsAlone(app, numbers[-1])
        serving = asyncio.create_task(server.serve(listeners))
        extra = {"port": numbers[0], "models": len(config.models)}
        if config.labels_port is not None:
            extra["labels_port"] = numbers[-1]
        logger.info("serving", extra=extra)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopped}, return_when="FIRST_COMPLETED")
        is_stopped_cleanly = worker.is_alive and not serving.done()
        server.should_exit = True
        await serving
        stopped.cancel()
    await asyncio.to_thread(worker.stop)
    logger.info("ended")
    return 0 if is_stopped_cleanly else 1


@contextmanager
def _listening(config: Config) -> Iterator[list[socket.socket]]:
    """Listen on the port, and last on that for labels, if there is one."""
    ports = [config.port]
    if config.labels_port is not None:
        ports.append(config.labels_port)
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_server((config.host, port), backlog=1024))
            for port in ports
        ]
