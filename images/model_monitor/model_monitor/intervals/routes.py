"""The path of the intervals, for the controller of rollouts.

GET /api/v1/models/{model}/intervals?since=UNIX   contracts/revision_intervals.yaml
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from model_monitor.config import Config
from model_monitor.intervals.stored import StoredIntervals
from model_monitor.receiver.errors import ReceiverError
from model_monitor.store import Store

MOST_DIGITS = 11


def routes(config: Config, store: Store) -> list[BaseRoute]:
    """Return the route, for an application with the receiver's HANDLERS."""
    stored = {
        it.name: StoredIntervals(store, it.name, it.intervals, config.memory_mib)
        for it in config.models
        if it.intervals
    }

    # Not a coroutine: threads read the files while requests are served.
    def intervals(request: Request) -> Response:
        found = stored.get(request.path_params["model"])
        if found is None:
            raise ReceiverError(
                HTTPStatus.NOT_FOUND,
                "unknown_model",
                "no intervals are counted of a model of this name",
                "give its rollout a gate of quality, fairness, scores or pairs",
            )
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return JSONResponse(found.since(_since(request)), headers=headers)

    return [Route("/api/v1/models/{model}/intervals", intervals)]


def _since(request: Request) -> int:
    text = request.query_params.get("since", "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise ReceiverError(
            HTTPStatus.BAD_REQUEST,
            "bad_since",
            "since is not a time",
            "give whole Unix seconds",
        )
    return int(text)
