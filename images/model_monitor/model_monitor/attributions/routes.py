"""The monitor's API for the attribution job, with its own token.

    GET /v1/attributions/MODEL/REVISION/days     days to attribute, the oldest first
    GET /v1/attributions/MODEL/REVISION/DAY      the day's sample
    PUT /v1/attributions/MODEL/REVISION/DAY      contracts/attributions.yaml

The monitor has the log, and a volume that one pod alone can mount; the job has the
model. A model server may reach this port too, and is refused by the token.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from model_monitor.attributions import evaluator, sample, stored
from model_monitor.attributions.settings import AttributionSettings
from model_monitor.attributions.stored import BadAttributionsError
from model_monitor.config import Config, Model
from model_monitor.figures import results
from model_monitor.receiver import tokens
from model_monitor.receiver.errors import ReceiverError, too_large
from model_monitor.store import Store

MOST_BYTES = 4 << 20
BASE = "/v1/attributions/{model}/{revision:path}"


def routes(config: Config, store: Store) -> list[BaseRoute]:
    """Return the routes; none without a token's file, so that nothing is open."""
    if config.attribution_tokens is None:
        return []
    own = _Attributions(config, store, threading.Lock())
    return [
        Route(f"{BASE}/days", own.days),
        Route(f"{BASE}/{{day}}", own.get, methods=["GET"]),
        Route(f"{BASE}/{{day}}", own.put, methods=["PUT"]),
    ]


@dataclass(frozen=True)
class _History:
    """Days of a revision, with the rows that were answered, as of `today`."""

    revision: str
    today: dt.date
    days: list[tuple[str, int]]


@dataclass(frozen=True)
class _Attributions:
    """The endpoints, and what they work with."""

    config: Config
    store: Store
    lock: threading.Lock
    """One sample is taken at a time: each needs a database."""

    def _model(self, request: Request) -> tuple[Model, AttributionSettings]:
        tokens.check(request, self.config.attribution_tokens)
        model = self.config.model(request.path_params["model"])
        if model is None or model.attributions is None:
            raise _refused(
                HTTPStatus.NOT_FOUND,
                "no_attributions",
                "no model of this name has attributions",
                "set `attributions` of the model",
            )
        return model, model.attributions

    async def days(self, request: Request) -> Response:
        """Answer the days that wait: no attributions yet, or labels that are new."""
        model, settings = self._model(request)
        history = await asyncio.to_thread(self._history, request, model)
        found = await asyncio.to_thread(self._days, model, history)
        return JSONResponse(
            {
                "days": found,
                "rows": settings.rows,
                "task": model.task.value,
                "positive": model.positive,
            }
        )

    def _history(self, request: Request, model: Model) -> _History:
        """Return what the results know of the revision; raise 404 if nothing."""
        found = results.read(self.store.results / f"{model.name}.json")
        wanted = request.path_params["revision"]
        for revision in found["revisions"] if found else ():
            if found and revision["revision"] == wanted:
                today = dt.datetime.fromisoformat(found["now"]).date()
                days = [(it["date"], it["answered"]) for it in revision["history"]]
                return _History(wanted, today, days)
        raise _refused(
            HTTPStatus.NOT_FOUND,
            "no_revision",
            "no such revision has answered in the last 30 days",
            "ask again when the monitor has read its log",
        )

    def _days(self, model: Model, history: _History) -> list[str]:
        least = model.drift.min_rows
        known = {
            day: stored.read(self._path(model, history, day)) for day, _ in history.days
        }
        due = evaluator.days_due(history.days, least, history.today)
        found = [it for it in due if known[it] is None]
        # The newest day whose labels are in, if its loss has not been attributed.
        due_end = history.today - dt.timedelta(days=model.label_horizon_days)
        for day in evaluator.days_due(history.days, least, due_end)[-1:]:
            content = known[day]
            if content is not None and content["loss"] is None:
                found.append(day)
        return sorted(found)

    def _path(self, model: Model, history: _History, day: str) -> Path:
        return stored.path(self.store, model.name, history.revision, day)

    async def get(self, request: Request) -> Response:
        """Answer a sample: values of features by name, scores and labels."""
        model, settings = self._model(request)
        day = _day(request)
        history = await asyncio.to_thread(self._history, request, model)
        revision = history.revision
        try:
            found = await asyncio.to_thread(
                self._take, model, revision, day, settings.rows
            )
        except sample.NoPolicyError as error:
            raise _refused(
                HTTPStatus.CONFLICT, "no_policy", str(error), "mount the model's folder"
            ) from None
        return JSONResponse(
            {
                "model": model.name,
                "revision": revision,
                "date": day.isoformat(),
                "rows": found.rows,
                "features": found.features,
                "scores": found.scores,
                "labels": found.labels,
            }
        )

    def _take(
        self, model: Model, revision: str, day: dt.date, rows: int
    ) -> sample.Sample:
        with self.lock:
            return sample.take(self.store, model, revision, day, rows)

    async def put(self, request: Request) -> Response:
        """Keep attributions of a day; answer 204."""
        model, _ = self._model(request)
        day = _day(request).isoformat()
        history = await asyncio.to_thread(self._history, request, model)
        if day not in evaluator.whole_days(
            history.days, model.drift.min_rows, history.today
        ):
            raise _refused(
                HTTPStatus.NOT_FOUND,
                "no_day",
                "the revision has no such day that is over and has enough rows",
                "take one of GET .../days",
            )
        content = await _body(request)
        try:
            checked = stored.check(content, model.name, history.revision, day)
        except BadAttributionsError as error:
            raise _refused(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "not_attributions",
                str(error),
                "see contracts/attributions.yaml",
            ) from None
        await asyncio.to_thread(stored.write, self.store, checked)
        return Response(status_code=HTTPStatus.NO_CONTENT)


async def _body(request: Request) -> Any:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MOST_BYTES:
            raise too_large(MOST_BYTES)
        pieces.append(piece)
    try:
        return json.loads(b"".join(pieces))
    except (ValueError, RecursionError):
        raise _refused(
            HTTPStatus.BAD_REQUEST, "not_json", "the body is not JSON", "send JSON"
        ) from None


def _day(request: Request) -> dt.date:
    text = request.path_params["day"]
    try:
        found = dt.date.fromisoformat(text)
    except ValueError:
        found = None
    # Other forms of a date would name the same file in another way.
    if found is None or found.isoformat() != text:
        raise _refused(
            HTTPStatus.NOT_FOUND, "no_day", "the path names no day", "write 2026-11-29"
        )
    return found


def _refused(status: HTTPStatus, code: str, message: str, fix: str) -> ReceiverError:
    return ReceiverError(status, code, message, fix)
