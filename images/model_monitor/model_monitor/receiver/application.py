"""The receiver as an ASGI application: log files, labels and a probe."""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from model_monitor.receiver.bodies import Bodies
from model_monitor.receiver.counters import Counters
from model_monitor.receiver.errors import HANDLERS
from model_monitor.receiver.label_posts import LabelPosts
from model_monitor.receiver.settings import ReceiverSettings
from model_monitor.receiver.uploads import Uploads
from model_monitor.store.limits import Limits
from model_monitor.store.store import Store


def routes(
    store: Store,
    settings: ReceiverSettings,
    counters: Counters,
    limits: Limits | None = None,
) -> list[BaseRoute]:
    """Return the routes, for an application with `errors.HANDLERS`.

    The store must be open.
    """
    limits = limits or Limits()
    bodies = Bodies(settings.requests, settings.body_seconds)
    uploads = Uploads(store, settings, limits, bodies, counters, threading.Lock())
    labels = LabelPosts(store, settings, limits, bodies, counters, threading.Lock())

    async def healthz(_: Request) -> Response:
        if store.landing.is_dir():
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "the store is not there"}, 503)

    return [
        Route("/v1/logs/{name}", uploads.put, methods=["PUT"]),
        Route("/v1/labels", labels.post, methods=["POST"]),
        Route("/healthz", healthz),
    ]


def application(
    store: Store,
    settings: ReceiverSettings,
    registry: CollectorRegistry,
    limits: Limits | None = None,
) -> Starlette:
    """Return the receiver alone. The store must be open."""
    return Starlette(
        routes=routes(store, settings, Counters(registry), limits),
        exception_handlers=HANDLERS,
    )
