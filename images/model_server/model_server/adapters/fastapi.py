"""The contract in a FastAPI application: `mount(app, predictor)`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from model_server.adapters import contract, wsgi
from model_server.adapters.drain import LOG_FLUSH_SECONDS
from model_server.adapters.host import SAMPLE_SECONDS, load
from model_server.adapters.predictor import Predictor
from model_server.app import App, Receive, Scope, Send
from model_server.errors import RequestError
from model_server.prediction_log import open_prediction_log
from model_server.service import Service

RUNTIME = "fastapi"


def mount(app: FastAPI, predictor: Predictor, *, leave: Collection[str] = ()) -> None:
    """Add the contract's routes; middlewares of the application see their requests too.

    Call it after the application's own routes; `leave` names paths that stay its own.
    The models run in the application's event loop, from its start-up on. A
    `RequestError` that a route of the application raises is answered as the server
    would. Raises `MountError` if a path is taken.
    """
    taken = [str(getattr(route, "path", "")) for route in app.router.routes]
    pages = contract.pages(leave, taken)
    predictor.runtime = RUNTIME
    endpoint = _Contract(predictor)
    for path in [*pages, f"{contract.BELOW}/{{rest:path}}"]:
        app.router.routes.append(
            Route(path, endpoint, name=f"model_server:{path}", include_in_schema=False)
        )
    app.add_exception_handler(RequestError, _refused)
    app.router.lifespan_context = _lifespan(app.router.lifespan_context, predictor)


class _Contract:
    """The core's ASGI application, once there is one."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self._predictor.attached
        if service is None:
            raise RuntimeError(
                "the model server starts with the application's lifespan: run it by an "
                "ASGI server with lifespan on, or the test client in a `with` statement"
            )
        if self._app is None or self._app.service is not service:
            self._app = App(service)
        root = scope.get("root_path", "")
        if root and scope["path"].startswith(root):
            scope = {**scope, "path": scope["path"][len(root) :]}
        await self._app(scope, receive, send)


def _lifespan(
    inner: Callable[[Any], Any], predictor: Predictor
) -> Callable[[Any], contextlib.AbstractAsyncContextManager[Any]]:
    """Return the application's lifespan with the service's life around it."""

    @contextlib.asynccontextmanager
    async def around(app: Any) -> AsyncIterator[Any]:
        async with _serving(predictor), inner(app) as state:
            yield state

    return around


@contextlib.asynccontextmanager
async def _serving(predictor: Predictor) -> AsyncIterator[None]:
    """Run the service in this loop, unless `model_server.adapters.uvicorn` does."""
    if predictor.attached:
        yield
        return
    config = predictor.config
    service = Service(config, open_prediction_log(config), RUNTIME)
    predictor.attach(service)
    tasks = [asyncio.create_task(load(service)), asyncio.create_task(_sample(service))]
    try:
        yield
    finally:
        service.stop_taking()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(service.close, LOG_FLUSH_SECONDS)
        predictor.detach()


async def _sample(service: Service) -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        service.sample_usage()


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestError):
        raise error
    body, headers = wsgi.refusal(error, request.headers.get("x-request-id", ""))
    return Response(body, error.status, dict(wsgi.text(headers)))
