"""Runs an ASGI application with the model server's settings, limits and drain.

    python -m model_server.adapters.uvicorn module:application

The application mounts a predictor; its service runs in the server's own event loop. As
`python -m model_server` does, it stays ready through the deregistration delay after
SIGTERM, finishes what is in flight and exits with 0.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

import uvloop
from uvicorn.importer import ImportFromStringError, import_from_string

from model_server import logs
from model_server.adapters import registry
from model_server.adapters.predictor import Predictor
from model_server.app import Message, Receive, Scope, Send
from model_server.config import ConfigError
from model_server.connection import Connection
from model_server.endpoint import Endpoint
from model_server.http import CLOSE
from model_server.lifecycle import Lifecycle, Server
from model_server.prediction_log import open_prediction_log, unwritable_log
from model_server.service import Service
from model_server.uvicorn_options import uvicorn_config

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An application by ASGI."""

logger = logging.getLogger("model_server")


def main(arguments: list[str]) -> int:
    """Serve; return 0 after a drain, 1 on a fault, 2 on a wrong setting or argument."""
    logs.configure("info")
    if len(arguments) != 1:
        logger.error("give one argument, module:application, not %s", arguments)
        return 2
    sys.path.insert(0, "")
    try:
        application = import_from_string(arguments[0])
    except ConfigError as error:
        for problem in error.problems:
            logger.error(problem)  # noqa: TRY400, the reason says it all
        return 2
    except ImportFromStringError as error:
        logger.error(str(error))  # noqa: TRY400
        return 2
    known = registry.predictors
    if len(known) != 1:
        logger.error(
            "%s makes %d predictors; make one and mount it", arguments[0], len(known)
        )
        return 2
    logs.configure(known[0].config.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(application, known[0]))


async def _serve(application: Application, predictor: Predictor) -> int:
    config = predictor.config
    try:
        log = open_prediction_log(config)
    except OSError as error:
        logger.error(unwritable_log(config, error))  # noqa: TRY400
        return 2
    service = Service(config, log, predictor.runtime)
    predictor.attach(service)
    app = Closing(application, service)
    server = Server(uvicorn_config(config, app, Bounded.bind(service)))
    return await Lifecycle(config, service, server).run()


class Bounded(Connection):
    """The server's connection with its limits, all requests to the application.

    The short way to the model would pass by the application's middlewares, and one of
    them may be what asks for a password.
    """

    def _fast_path_endpoint(self) -> Endpoint | None:
        return None


class Closing:
    """Asks clients of a draining server to connect anew, in the application's routes.

    The core's own answers say it already.
    """

    def __init__(self, app: Application, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._service.is_draining:
            await self._app(scope, receive, send)
            return

        async def send_with_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ())]
                if all(name.lower() != CLOSE[0] for name, _ in headers):
                    message = {**message, "headers": [*headers, CLOSE]}
            await send(message)

        await self._app(scope, receive, send_with_close)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
