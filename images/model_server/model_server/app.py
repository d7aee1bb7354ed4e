"""The service as a raw ASGI application: it runs under any ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from model_server.endpoint import Endpoint
from model_server.errors import RequestError, overloaded
from model_server.http import CLOSE, Answer, Fields, Headers
from model_server.pages import Pages
from model_server.service import Service

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class App:
    """The ASGI application of one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.pages = Pages(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Say that start and stop are done; `lifecycle` and the host do the work."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields: Fields = dict(scope["headers"])
        endpoint = self.service.models_by_path.get(scope["path"])
        if endpoint is None or scope["method"] != "POST":
            answer = self.pages.answer(scope["method"], scope["path"], fields)
        else:
            try:
                answer = await self._infer(endpoint, fields, receive)
            except ClientGoneError:
                return
        status, headers, body = answer
        await send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        await send({"type": "http.response.body", "body": body})

    async def _infer(
        self, endpoint: Endpoint, fields: Fields, receive: Receive
    ) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def respond(status: int, headers: Headers, body: bytes) -> None:
            if not future.done():
                future.set_result((status, headers, body))

        try:
            body = await self._body(fields, receive)
        except RequestError as error:
            self.service.refuse(endpoint, fields, error, respond)
        else:
            self.service.infer(endpoint, fields, body, respond)
            # The parsed content waits in the queue; the text is no longer needed.
            del body
        return await future

    async def _body(self, fields: Fields, receive: Receive) -> bytes | bytearray:
        """Return the body, or raise as soon as it is too large or too slow."""
        limit = self.service.config.max_body_bytes
        declared = fields.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit:
                raise _too_large(limit)
            return body
        try:
            async with asyncio.timeout(self.service.config.request_timeout_seconds):
                return await self._rest(body, limit, receive)
        except TimeoutError:
            raise RequestError(
                408,
                "request_timeout",
                "the body took longer to arrive than "
                f"{self.service.config.request_timeout_seconds:g} s",
                headers=(CLOSE,),
            ) from None

    async def _rest(self, first: bytes, limit: int, receive: Receive) -> bytearray:
        """Return a body of several parts; its reader may empty it."""
        service = self.service
        body = bytearray(first)
        size = len(first)
        service.buffered_bytes += size
        try:
            more = True
            while more:
                if size > limit:
                    raise _too_large(limit)
                if service.buffered_bytes > service.config.max_buffered_bytes:
                    raise overloaded("too many bytes of requests are being received")
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk: bytes = message.get("body", b"")
                body += chunk
                size += len(chunk)
                service.buffered_bytes += len(chunk)
                more = message.get("more_body", False)
            if size > limit:
                raise _too_large(limit)
            return body
        finally:
            service.buffered_bytes -= size


def _too_large(limit: int) -> RequestError:
    return RequestError(
        413,
        "body_too_large",
        f"the body may have at most {limit} bytes; send fewer rows at a time",
    )
