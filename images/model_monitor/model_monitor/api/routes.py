"""The paths of the API. All answer GET and HEAD alone, and JSON.

GET /api/v1/models           every model of the configuration, in short
GET /api/v1/models/{model}   all figures of one: `results/<model>.json`, without the
                             groups that are too small to be shown
GET /api/v1/audit            the newest entries of the audit chain, and whether it is
                             intact; `limit` is how many, 1 to 200, 50 if not given
"""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from model_monitor.api import summary, withheld
from model_monitor.api.audit_trail import AuditTrail
from model_monitor.config import Config
from model_monitor.figures import results
from model_monitor.metrics import CycleState
from model_monitor.receiver.errors import ReceiverError
from model_monitor.store import Store

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MOST_ENTRIES, USUAL_ENTRIES = 200, 50


def routes(config: Config, store: Store, state: CycleState) -> list[BaseRoute]:
    """Return the routes, for an application with the receiver's HANDLERS."""
    trail = AuditTrail(store.chain)

    # Not coroutines: threads read the files while requests are served.
    def models(_: Request) -> Response:
        now = dt.datetime.now(dt.UTC) if config.clock == "wall" else state.now
        found = [
            summary.of_model(it, results.read(store.results / f"{it.name}.json"), now)
            for it in config.models
        ]
        return _answer({"cycle": summary.of_cycle(state), "models": found})

    def model(request: Request) -> Response:
        known = config.model(request.path_params["model"])
        if known is None:
            raise ReceiverError(
                HTTPStatus.NOT_FOUND,
                "unknown_model",
                "the monitor's configuration has no such model",
                "GET /api/v1/models names those that it has",
            )
        found = results.read(store.results / f"{known.name}.json")
        return _answer({"model": known.name, "results": found and withheld.of(found)})

    def audit(request: Request) -> Response:
        return _answer(trail.newest(_limit(request)))

    return [
        Route("/api/v1/models", models),
        Route("/api/v1/models/{model}", model),
        Route("/api/v1/audit", audit),
    ]


def _answer(content: Any) -> Response:
    return JSONResponse(content, headers=HEADERS)


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(USUAL_ENTRIES))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MOST_ENTRIES):
        raise ReceiverError(
            HTTPStatus.BAD_REQUEST,
            "bad_limit",
            "limit is not a whole number within the range",
            f"give 1 to {MOST_ENTRIES}",
        )
    return int(text)
