"""The ASGI application, and what callers can make it hold."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import generate_latest

from alert_recorder.log import log
from alert_recorder.metrics import MetricsCollector
from alert_recorder.records import Record, Refusal, parse
from alert_recorder.store import Store
from bounded_http.connections import Bounds

MAXIMUM_BODY_BYTES = 1 << 20
SMALL_BODY_BYTES = 1 << 16
"""Alertmanager's are: they are taken whatever large ones are on their way."""
MAXIMUM_ARRIVING_BYTES = 4 << 20
"""Maximum size of all bodies together."""
MAXIMUM_LISTS = 4
"""Answers with records that are on their way at the same time."""
PIECE_BYTES = 1 << 16

# Probes share the port with everybody: whoever has asked for longest makes room.
BOUNDS = Bounds(
    most=64, is_for_whole=True, head_seconds=5.0, answer_seconds=30.0, makes_room=True
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
JSON = "application/json"


class GoneError(Exception):
    """The caller hung up."""


class Application:
    """The ASGI application."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._arriving = 0
        self._lists = 0
        self.closed = 0
        """Connections that were one too many."""
        self._metrics = MetricsCollector(store, lambda: self.closed)

    def refused(self) -> None:
        self.closed += 1

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            if (scope["method"], scope["path"]) == ("GET", "/alerts"):
                await self._list(scope, send)
                return
            kind, text = await self._answer(scope, receive)
        except Refusal as refusal:
            words = json.dumps({"error": str(refusal)})
            await _send(send, refusal.status, JSON, [words.encode()])
        except GoneError:
            return
        else:
            await _send(send, HTTPStatus.OK, kind, [text.encode()])

    async def _answer(self, scope: Message, receive: Receive) -> tuple[str, str]:
        method, path = scope["method"], scope["path"]
        if method not in ("GET", "POST"):
            raise Refusal(HTTPStatus.NOT_IMPLEMENTED, f"{method} does nothing here")
        if (method, path) == ("POST", "/alerts"):
            return JSON, await self._post(dict(scope["headers"]), receive)
        if (method, path) == ("GET", "/healthz"):
            return JSON, '{"status": "ok"}'
        if (method, path) == ("GET", "/metrics"):
            return "text/plain; version=0.0.4", generate_latest(self._metrics).decode()
        raise Refusal(HTTPStatus.NOT_FOUND, f"nothing at {path}")

    async def _list(self, scope: Message, send: Send) -> None:
        if self._lists >= MAXIMUM_LISTS:
            text = f"{MAXIMUM_LISTS} lists are being read; try again"
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, text)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        name, status = (query.get(key, [""])[-1] for key in ("name", "status"))
        self._lists += 1
        try:
            found = self._store.select(name, status)
            await _send(send, HTTPStatus.OK, JSON, list(_pieces(found)))
        finally:
            self._lists -= 1

    async def _post(self, headers: dict[bytes, bytes], receive: Receive) -> str:
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "content-length is missing")
        if int(length) > MAXIMUM_BODY_BYTES:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"body has {int(length)} bytes, {MAXIMUM_BODY_BYTES} are allowed",
            )
        records = parse(await self._body(receive), datetime.now(UTC))
        self._store.add(records)
        for record in records:
            log("alert", status=record.status, labels=record.labels)
        return json.dumps({"recorded": len(records)})

    async def _body(self, receive: Receive) -> bytes:
        body = bytearray()
        more = True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                piece: bytes = message.get("body", b"")
                body += piece
                self._arriving += len(piece)
                more = message.get("more_body", False)
                is_small = len(body) <= SMALL_BODY_BYTES
                if self._arriving > MAXIMUM_ARRIVING_BYTES and not is_small:
                    text = "too many bytes are on their way; try again"
                    raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, text)
        finally:
            self._arriving -= len(body)
        return bytes(body)


def _pieces(records: list[Record]) -> Iterator[bytes]:
    """A list of records as JSON; the texts are those of the store, not copies."""
    yield b"["
    for number, record in enumerate(records):
        if number:
            yield b", "
        yield record.text
    yield b"]"


async def _send(send: Send, status: HTTPStatus, kind: str, pieces: list[bytes]) -> None:
    """Answer piece by piece: uvicorn waits where the caller takes none."""
    size = sum(map(len, pieces))
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE_BYTES:
            message = {"type": "http.response.body", "more_body": True}
            await send({**message, "body": bytes(gathered)})
            gathered.clear()
    await send({"type": "http.response.body", "body": bytes(gathered)})
