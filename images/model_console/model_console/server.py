"""The service: pages, probes and metrics."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Collection, Mapping
from typing import Any

import httpx
import uvicorn
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    disable_created_metrics,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bounded_http.server import Server
from model_console import connections
from model_console.headers import SecurityHeaders
from model_console.hosts import KnownHosts
from model_console.pages import Pages
from model_console.settings import PREFIX, Settings, SettingsError
from model_console.sources import Sources

logger = logging.getLogger("model_console.server")
GRACE_SECONDS = 10


def application(
    sources: Sources, registry: CollectorRegistry, names: Collection[str] = ()
) -> ASGIApp:
    """Return the pages. `names`: see `KnownHosts`."""
    answered = Counter(
        "model_console_pages",
        "Pages, by status.",
        ["page", "status"],
        registry=registry,
    )
    pages = Pages(sources, answered)

    handlers: dict[Any, Any] = {HTTPException: pages.refused, Exception: pages.failed}
    app = Starlette(routes=pages.routes(), exception_handlers=handlers)
    return SecurityHeaders(KnownHosts(app, names))


def probes(registry: CollectorRegistry) -> ASGIApp:
    """Return the probes and the metrics, which have a port of their own."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(_: Request) -> Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return Response(generate_latest(registry), headers=headers)

    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            # Ready as soon as it listens: without its sources it shows that they fail.
            Route("/readyz", healthz),
            Route("/metrics", metrics),
        ]
    )
    return SecurityHeaders(app)


def sources_of(
    settings: Settings,
    registry: CollectorRegistry,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Sources:
    requests = Counter(
        "model_console_source_requests",
        "Requests to the monitor and to Alertmanager, by result.",
        ["source", "result"],
        registry=registry,
    )
    return Sources(settings, requests, transport)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    sources = sources_of(settings, registry)
    with _listener(settings, "PORT") as pages, _listener(settings, "METRICS_PORT") as m:
        port, metrics_port = (it.getsockname()[1] for it in (pages, m))
        apps = {
            port: application(sources, registry, settings.names),
            metrics_port: probes(registry),
        }
        server = Server(_config(apps, metrics_port))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        ports = {"port": port, "metrics_port": metrics_port}
        logger.info("serving", extra=ports)
        await server.serve([pages, m])
    await sources.close()
    logger.info("ended")
    return 0


def _config(apps: Mapping[int, ASGIApp], metrics_port: int) -> uvicorn.Config:
    """Return a server's configuration, with an application for each port."""

    async def by_port(scope: Scope, receive: Receive, send: Send) -> None:
        await apps[scope["server"][1]](scope, receive, send)

    return uvicorn.Config(
        by_port,
        http=connections.protocol(metrics_port),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _listener(settings: Settings, variable: str) -> socket.socket:
    """Listen on the port of a variable; raise SettingsError."""
    host, port = settings.host, getattr(settings, variable.lower())
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        problem = (
            f"{PREFIX}{variable}={port}: {host} cannot be listened on there: {error}; "
            f"give a free port, and an address of this host in {PREFIX}HOST"
        )
        raise SettingsError([problem]) from None
