"""The path of the experiments' reports, for the model console.

GET /api/v1/experiments/{server}   `computed` (Unix seconds or null), `report` (as the
                                   command `experiment` prints it, or null), and
                                   `reason`: why there is none, or no newer one
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from model_monitor.config import Config
from model_monitor.experiments import stored
from model_monitor.receiver.errors import ReceiverError
from model_monitor.store import Store

NOT_YET = {"computed": None, "report": None, "reason": "it has not been counted yet"}


def routes(config: Config, store: Store) -> list[BaseRoute]:
    """Return the route, for an application with the receiver's HANDLERS."""
    servers = config.experiments.servers if config.experiments else ()

    # Not a coroutine: a thread reads the file while requests are served.
    def experiment(request: Request) -> Response:
        server = request.path_params["server"]
        if server not in servers:
            raise ReceiverError(
                HTTPStatus.NOT_FOUND,
                "unknown_experiment",
                "no experiment of such a model server is reported",
                "give the model `experiment` in its settings",
            )
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return JSONResponse(stored.read(store, server) or NOT_YET, headers=headers)

    return [Route("/api/v1/experiments/{server}", experiment)]
