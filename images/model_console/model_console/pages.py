"""The pages. Each is made anew of what the sources answer at that moment."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from model_console import (
    experiment_page,
    formats,
    model_page,
    rollout_page,
    verdicts,
)
from model_console.alerts import AlertsAnswer
from model_console.figures import ModelAnswer, ModelsAnswer, Results, Revision
from model_console.rollouts import RolloutAnswer, RolloutsAnswer
from model_console.shape import clean
from model_console.sources import Sources, Trouble, Unknown

FOLDER = Path(__file__).parent
STATIC = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
AUDIT_ENTRIES = 100
MOST_ALERTS = MOST_ROLLOUTS = 500
AT_ONCE = 4
"""Pages that are made at the same time: more would hold up probes, and their answers
would not fit into the pod's memory."""
SIGNS = {"bad": "✕", "warn": "!", "ok": "✓", "none": "○"}
"""Beside the colour, which not everybody sees."""

Page = Callable[[Request], Awaitable[Response]]


class Pages:
    """Answers requests by the templates."""

    def __init__(self, sources: Sources, answered: Counter) -> None:
        """`answered` counts by page and status."""
        self._sources, self._answered = sources, answered
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._static = {
            name: (FOLDER / "static" / name).read_bytes() for name in STATIC
        }
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= formats.FILTERS
        digest = hashlib.sha256(b"".join(self._static.values())).hexdigest()[:10]
        self._templates.globals |= {"version": digest, "verdict_of": verdicts.of}
        self._templates.globals["of_attributions"] = verdicts.of_attributions
        self._templates.globals |= {"signs": SIGNS, "has_rollouts": sources.rolls_out}
        self._templates.globals["renew_seconds"] = rollout_page.RENEW_SECONDS

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self._in_turn(self.fleet)),
            Route("/models/{model}", self._in_turn(self.model)),
            Route("/rollouts", self._in_turn(self.rollouts)),
            Route("/rollouts/{server}", self._in_turn(self.rollout)),
            Route("/alerts", self._in_turn(self.alerts)),
            Route("/audit", self._in_turn(self.audit)),
            Route("/static/{name}", self.static),
        ]

    def _in_turn(self, make: Page) -> Page:
        """Make a page when fewer than the most are being made; it is sent later."""

        async def made(request: Request) -> Response:
            async with self._turns:
                return await make(request)

        return made

    async def fleet(self, _: Request) -> Response:
        models, alerts = await asyncio.gather(
            self._sources.models(), self._sources.alerts()
        )
        rows = []
        if isinstance(models, ModelsAnswer):
            rows = [
                {
                    "summary": it,
                    "verdicts": verdicts.of_model(it),
                    "alerts": alerts.of(it.model)
                    if isinstance(alerts, AlertsAnswer)
                    else (),
                    **_newest(it),
                }
                for it in models.models
            ]
        return self._page(
            "fleet",
            models=models,
            rows=rows,
            alerts=alerts,
            **_troubles(models, alerts),
        )

    async def model(self, request: Request) -> Response:
        name = clean(request.path_params["model"])
        found, alerts, rollouts = await asyncio.gather(
            self._sources.model(name), self._sources.alerts(), self._sources.rollouts()
        )
        if isinstance(found, Unknown):
            raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no model “{name}”.")
        page = None
        if isinstance(found, ModelAnswer) and found.results is not None:
            page = _chosen(found.results, request.query_params)
        own = alerts.of(name) if isinstance(alerts, AlertsAnswer) else ()
        return self._page(
            "model",
            name=name,
            page=page,
            found=found,
            alerts=alerts,
            own_alerts=own,
            rollouts=rollouts.of(name) if isinstance(rollouts, RolloutsAnswer) else (),
            of_drift=verdicts.of_drift,
            of_windows=verdicts.of_windows,
            **_troubles(found, alerts, rollouts),
        )

    async def rollouts(self, _: Request) -> Response:
        found = await self._sources.rollouts()
        lines = found.rollouts if isinstance(found, RolloutsAnswer) else ()
        return self._page(
            "rollouts",
            rollouts=found,
            shown=lines[:MOST_ROLLOUTS],
            left_out=max(0, len(lines) - MOST_ROLLOUTS),
            **_troubles(found),
        )

    async def rollout(self, request: Request) -> Response:
        server = clean(request.path_params["server"])
        found = await self._sources.rollout(server)
        if isinstance(found, Unknown):
            said = f"There is no rollout of “{server}”."
            raise HTTPException(HTTPStatus.NOT_FOUND, said)
        answer = found if isinstance(found, RolloutAnswer) else None
        rollout = answer.rollout if answer else None
        experiment, report = rollout.experiment if rollout else None, None
        if experiment:
            report = await self._sources.experiment(server)
        renews = "renew" in request.query_params
        return self._page(
            "rollout",
            server=server,
            answer=answer,
            page=rollout_page.page(rollout) if rollout else None,
            experiment=experiment_page.page(experiment, report) if experiment else None,
            renews=renews and (answer is None or answer.goes_on),
            **_troubles(found, report),
        )

    async def alerts(self, _: Request) -> Response:
        alerts = await self._sources.alerts()
        found = alerts.alerts if isinstance(alerts, AlertsAnswer) else ()
        return self._page(
            "alerts",
            alerts=alerts,
            shown=found[:MOST_ALERTS],
            left_out=max(0, len(found) - MOST_ALERTS),
            **_troubles(alerts),
        )

    async def audit(self, _: Request) -> Response:
        audit = await self._sources.audit(AUDIT_ENTRIES)
        return self._page(
            "audit",
            audit=None if isinstance(audit, Trouble) else audit,
            **_troubles(audit),
        )

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such page.")
        # The pages name the content's digest, so that a new one is asked for.
        headers = {"Cache-Control": "public, max-age=86400"}
        return Response(self._static[name], headers=headers, media_type=STATIC[name])

    async def refused(self, _: Request, error: Exception) -> Response:
        """Answer what is not there, or not allowed."""
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        said = error.detail if error.detail != status.phrase else ""
        page = self._page(
            "error", status, title=status.phrase, said=said, **_troubles()
        )
        page.headers.update(error.headers or {})
        return page

    async def failed(self, _: Request, __: Exception) -> Response:
        """Answer an error of this program; the log has the details."""
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        said = "The console has a fault. Its log says more."
        return self._page(
            "error", status, title=status.phrase, said=said, **_troubles()
        )

    def _page(
        self, page: str, status: HTTPStatus = HTTPStatus.OK, /, **content: Any
    ) -> Response:
        text = self._templates.get_template(f"{page}.html").render(here=page, **content)
        self._answered.labels(page, str(status.value)).inc()
        return HTMLResponse(text, status)


def _troubles(*answers: object) -> dict[str, list[Trouble]]:
    """Return what could not be asked, each source once."""
    found = [it for it in answers if isinstance(it, Trouble)]
    return {"troubles": found}


def _newest(summary: Any) -> dict[str, Any]:
    """Return what the list shows of a model's newest revision."""
    results = summary.results
    if results is None or not results.revisions:
        return {"revision": None, "window": None, "drift": None, "judged": None}
    revision = results.revisions[0]
    window = list(revision.windows.values())[-1] if revision.windows else None
    judged = next(iter(window.judgements), None) if window else None
    return {
        "revision": revision,
        "window": window,
        "judged": judged,
        "drift": verdicts.of_drifted(revision.drifted, revision.drift_day),
    }


def _chosen(results: Results, wanted: Mapping[str, str]) -> model_page.ModelPage | None:
    """Return the page of the revision that is asked for, or of the newest."""
    if not results.revisions:
        return None
    revision = _revision(results, clean(wanted.get("revision", "")))
    feature = clean(wanted.get("feature", ""))
    known = {it.feature for it in revision.drift.features} if revision.drift else set()
    if feature and feature not in known:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no feature “{feature}”.")
    return model_page.page(results, revision, feature)


def _revision(results: Results, name: str) -> Revision:
    if not name:
        return results.revisions[0]
    for it in results.revisions:
        if it.revision == name:
            return it
    raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no revision “{name}”.")
