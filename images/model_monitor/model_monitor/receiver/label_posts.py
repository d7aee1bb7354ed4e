"""POST /v1/labels: labels as JSON lines, checked before the answer."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_monitor.labels.importing import (
    LabelImport,
    LabelsRefusedError,
    import_posted,
)
from model_monitor.receiver import tokens
from model_monitor.receiver.bodies import Bodies, Body
from model_monitor.receiver.counters import Counters
from model_monitor.receiver.errors import ReceiverError
from model_monitor.receiver.settings import ReceiverSettings
from model_monitor.store.checks import FIXES
from model_monitor.store.limits import Limits
from model_monitor.store.store import Store

ACTOR = "labels-api"
"""Actor in the audit chain: anyone with the token for labels."""


@dataclass(frozen=True)
class LabelPosts:
    """The endpoint, and what it works with."""

    store: Store
    settings: ReceiverSettings
    limits: Limits
    bodies: Bodies
    counters: Counters
    lock: threading.Lock
    """One post is worked on at a time: each needs a database."""

    async def post(self, request: Request) -> Response:
        """Answer 200 with counts, or 422 if no line was accepted and some refused."""
        tokens.check(request, self.settings.label_tokens)
        async with self.bodies.body(
            request, self.store.pending, self.settings.label_bytes
        ) as body:
            result = await asyncio.to_thread(self._import, body)
        self.counters.imported(result)
        is_refused = result.refused and not result.accepted
        status = HTTPStatus.UNPROCESSABLE_ENTITY if is_refused else HTTPStatus.OK
        return JSONResponse(_answer(result, is_refused=bool(is_refused)), status)

    def _import(self, body: Body) -> LabelImport:
        with self.lock:
            try:
                return import_posted(
                    self.store,
                    body.path,
                    body.digest,
                    actor=ACTOR,
                    limits=self.limits,
                )
            except LabelsRefusedError as error:
                raise ReceiverError(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    error.code,
                    error.message,
                    error.fix,
                ) from None


def _answer(result: LabelImport, *, is_refused: bool) -> dict[str, Any]:
    lines = []
    for bad in result.bad_lines:
        code, _, field = bad.reason.partition(" ")
        line = {"line": bad.line, "reason": code, "fix": FIXES[code]}
        lines.append({**line, "field": field} if field else line)
    content: dict[str, Any] = {
        "name": result.name,
        "accepted": result.accepted,
        "refused": result.refused.total(),
        "reasons": dict(sorted(result.refused.items())),
        "repeated": result.is_repeated,
        "lines": lines,
    }
    if is_refused:
        content["error"] = {
            "code": "no_label_accepted",
            "message": "no line is a label",
            "fix": "see `lines`",
        }
    return content
