"""Takes a request in, waits for a pod, forwards it and streams the answer back.

The port identifies the model; the request's target (RFC 9112, section 3.2), host and
headers are passed on as they came: no dot segment is resolved, no form changed. A
request is sent again only where no connection came to be, so that no pod gets it
twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

import httpx

from waker.buffer import Held, Refusal
from waker.keeper import Keeper
from waker.kept import Kept

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

RETRY_AFTER_SECONDS = 5
CONNECT_SECONDS = 1.0
AGAIN_SECONDS = 0.2
"""Pause after a pod that could not be reached: the next look may know another."""
ANSWER_SECONDS = 3600.0
"""The gateway ends requests long before."""
HEADER_BYTES = 200
"""Memory of one header's objects, beside its text: ten thousand short headers would
take megabytes."""
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""


class Proxy:
    """The requests of all models."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        # A new connection for each request: a kept one may end as it is used again,
        # and then nobody can tell whether the pod has got the request.
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def __call__(
        self, kept: Kept, scope: Message, receive: Receive, send: Send
    ) -> None:
        """One request of the model."""
        if _target(scope) is None:
            kept.counts["400"] += 1
            await _answer(send, HTTPStatus.BAD_REQUEST, "this is not a request target")
            return
        held = kept.buffer.begin(time.monotonic(), _head_bytes(scope))
        if isinstance(held, Refusal):
            await self._refuse(kept, held, send)
            return
        try:
            body = await _body(kept, held, receive)
            if isinstance(body, Refusal):
                await self._refuse(kept, body, send)
            elif body is not None:
                work = self._forward(kept, held, scope, body, send)
                await _while_there(receive, work)
        finally:
            kept.buffer.release(held)

    async def _forward(
        self, kept: Kept, held: Held, scope: Message, body: bytes, send: Send
    ) -> None:
        if not kept.addresses and kept.buffer.waiting == 1:
            # For the others it looks often anyway.
            self._keeper.request_round()
        try:
            async with asyncio.timeout(held.until - time.monotonic()):
                await kept.gate.acquire()
        except TimeoutError:
            await self._refuse(kept, Refusal.TIME, send)
            return
        try:
            await self._try(kept, held, scope, body, send)
        finally:
            kept.gate.release()

    async def _try(
        self, kept: Kept, held: Held, scope: Message, body: bytes, send: Send
    ) -> None:
        """One pod after the other until one takes it."""
        while address := await kept.address(held.until):
            request = _request(kept, address, scope, body)
            try:
                answer = await self._client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if time.monotonic() >= held.until:
                    break
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except httpx.HTTPError:
                kept.counts["502"] += 1
                await _answer(send, HTTPStatus.BAD_GATEWAY, "the pod broke off")
                return
            await _stream(kept, answer, send)
            return
        await self._refuse(kept, Refusal.TIME, send)

    async def _refuse(self, kept: Kept, reason: Refusal, send: Send) -> None:
        kept.counts[reason.value] += 1
        text = {
            Refusal.REQUESTS: "too many requests wait for the model to wake",
            Refusal.BYTES: "too many bytes wait for the model to wake",
            Refusal.TIME: "the model did not wake in time",
            Refusal.BODY: "the request did not arrive in full in time",
        }[reason]
        # The rest of a body that is not wanted would come on the same connection.
        more = [(b"connection", b"close")]
        status = HTTPStatus.REQUEST_TIMEOUT
        if reason is not Refusal.BODY:
            more.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
            status = HTTPStatus.SERVICE_UNAVAILABLE
        await _answer(send, status, text, more)


async def _body(kept: Kept, held: Held, receive: Receive) -> bytes | Refusal | None:
    """The whole body, counted as it arrives; None if the caller has gone.

    What is too much, or takes too long, ends there and then.
    """
    found: list[bytes] = []
    try:
        async with asyncio.timeout(held.until - time.monotonic()):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = message.get("body", b"")
                if not kept.buffer.grow(held, len(part)):
                    return Refusal.BYTES
                found.append(part)
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        return Refusal.BODY
    kept.buffer.complete(held, time.monotonic())
    return b"".join(found)


async def _while_there(receive: Receive, answer: Coroutine[Any, Any, None]) -> None:
    """Does the work until it is done, or its caller has gone and needs no answer."""
    gone = asyncio.ensure_future(_gone(receive))
    work = asyncio.ensure_future(answer)
    try:
        await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not work.done():
            work.cancel()
        await asyncio.gather(gone, work, return_exceptions=True)
    if not work.cancelled() and (error := work.exception()):
        raise error


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _head_bytes(scope: Message) -> int:
    """Return the memory of a held request's line and headers."""
    pairs = scope["headers"]
    texts = sum(len(name) + len(value) for name, value in pairs)
    line = len(scope["raw_path"]) + len(scope["query_string"])
    return line + texts + HEADER_BYTES * len(pairs)


def _target(scope: Message) -> bytes | None:
    """The request's target as it came; None if it is none that can be forwarded.

    Origin form, absolute form, and `*` of OPTIONS; authorities are for proxies that
    CONNECT, which this one does not.
    """
    path: bytes = scope["raw_path"]
    if path == b"*":
        return path if scope["method"] == "OPTIONS" else None
    absolute = path.lower().startswith((b"http://", b"https://"))
    if not (absolute or path.startswith(b"/")):
        return None
    return path + (b"?" + scope["query_string"] if scope["query_string"] else b"")


def _request(kept: Kept, address: str, scope: Message, body: bytes) -> httpx.Request:
    host = f"[{address}]" if ":" in address else address
    headers = [
        pair for pair in _passed(scope["headers"]) if pair[0] != b"content-length"
    ]
    length = (b"content-length", str(len(body)).encode())
    return httpx.Request(
        scope["method"],
        httpx.URL(scheme="http", host=host, port=kept.model.pod_port, path="/"),
        headers=[*headers, length],
        content=body,
        # A URL of httpx would resolve dot segments and refuse `*`.
        extensions={"target": _target(scope)},
    )


def _passed(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Those that are not about one connection, by the standard or by the sender."""
    given = list(headers)
    named = [value for name, value in given if name.lower() == b"connection"]
    own = {word.strip().lower() for value in named for word in value.split(b",")}
    return [pair for pair in given if pair[0].lower() not in _HOP_BY_HOP | own]


async def _stream(kept: Kept, answer: httpx.Response, send: Send) -> None:
    """The answer as it comes; what breaks off on the way breaks off here, too."""
    kept.counts[str(answer.status_code)] += 1
    try:
        headers = _passed(answer.headers.raw)
        start = {"status": answer.status_code, "headers": headers}
        await send({"type": "http.response.start", **start})
        async for part in answer.aiter_raw():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.aclose()


async def _answer(
    send: Send, status: HTTPStatus, text: str, more: Headers | None = None
) -> None:
    body = b'{"error":"%s"}' % text.encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(more or ()),
    ]
    start = {"status": status.value, "headers": headers}
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": body})
