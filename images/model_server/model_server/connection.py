"""uvicorn's HTTP/1.1 protocol with limits, and a short way for inference requests.

uvicorn bounds neither the size nor the duration of what a client sends or leaves
unread; this class does. It also spares the ordinary inference request (a small body of
known length, nothing else under way on the connection) the ASGI scope, its task and
its events: the body goes straight to the service and the answer straight to the
transport, in less than half the time (docs/benchmarks.md). All else takes uvicorn's
way to the ASGI application, and so does pipelining.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from model_server.endpoint import Endpoint
from model_server.errors import RequestError, overloaded
from model_server.exchange import Exchange
from model_server.http import Headers, check_head
from model_server.service import Service

SHORT_WAY_BYTES = 65536
MAX_PIPELINED = 64
SPARE_CONNECTIONS = 16
"""Beyond MAX_CONNECTIONS, for probes and metrics alone: a replica that is full would
be killed if it could not say that it lives. Each is closed after its answer."""
_SPARE_PATHS = frozenset(
    {b"/healthz", b"/readyz", b"/metrics", b"/v2/health/live", b"/v2/health/ready"}
)
GRACE_SECONDS = 1.0


class _Start:
    """Common start of all responses with 200: the same text for a second."""

    def __init__(self) -> None:
        self._headers: object = None
        self._text = b""

    def text(self, headers: Headers) -> bytes:
        """Return the status line and uvicorn's headers, of which it makes new lists."""
        if headers is not self._headers:
            self._headers = headers
            self._text = STATUS_LINE[200] + b"".join(
                b"%b: %b\r\n" % header for header in headers
            )
        return self._text


class Connection(HttpToolsProtocol):
    """One client connection. `bind` makes the class of one service's connections."""

    service: ClassVar[Service]
    max_header_bytes: ClassVar[int]
    start: ClassVar[_Start]

    @classmethod
    def bind(cls, service: Service) -> type[Connection]:
        own = {
            "service": service,
            "max_header_bytes": service.config.max_header_bytes,
            "start": _Start(),
        }
        return type("BoundConnection", (cls,), own)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._exchange = Exchange()
        self._endpoint: Endpoint | None = None
        self._body: bytes | bytearray = b""
        self._head_bytes = 0
        self._is_in_head = True
        self._has_begun = False
        self._offers_upgrade = False
        self._refusal: RequestError | None = None
        self._counted_bytes = 0
        self._idle_since = 0.0
        self._stalled_since = 0.0
        self._closing_since = 0.0
        # A new connection must send its first request in the same time as any other.
        self._receiving_since = self.loop.time()
        self._is_spare = self._beyond() > 0
        if self._beyond() > SPARE_CONNECTIONS:
            self._refuse(_too_many())

    def data_received(self, data: bytes) -> None:
        self._has_begun = False
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        # The parser keeps an unfinished header to itself, so count what it was given.
        if self._is_in_head and not self._has_begun and self.parser is not None:
            try:
                self._count_head(len(data))
            except RequestError as error:
                self._refuse(error)
        if self._endpoint is not None:
            self._count_body()

    def connection_lost(self, exc: Exception | None) -> None:
        self._uncount_body()
        super().connection_lost(exc)

    def _feed(self, data: bytes) -> None:
        """Parse what came. An offer to upgrade is passed over, whatever it names.

        The parser takes what follows the head of such a request for another protocol's:
        it drops the body, or reads it as the next request. So a new parser gets the
        same head without the offer, and goes on with the rest.
        """
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
            except HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
            else:
                return
            if not self._offers_upgrade:
                return
            head, since = self._head_without_offer(), self._receiving_since
            self.parser = HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(head)
            self._receiving_since = since

    def _head_without_offer(self) -> bytes:
        """Return the head that was read, as if it had no header Upgrade."""
        version = self.parser.get_http_version().encode()
        parts = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name != b"upgrade":
                parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    # What the parser calls

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._head_bytes = 0
        self._is_in_head = True
        self._has_begun = True
        self._offers_upgrade = False
        self._idle_since = 0.0
        self._receiving_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self.max_header_bytes:
            self._count_head(0)
        self.headers.append((name.lower(), value))

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        limit = self.max_header_bytes
        if self._head_bytes > limit:
            self._refusal = RequestError(
                431,
                "headers_too_large",
                f"the request line and headers may have at most {limit} bytes",
            )
            raise self._refusal

    def _count_body(self) -> None:
        """Count what has come of a body on the short way with those on the long one."""
        service, size = self.service, len(self._body)
        service.buffered_bytes += size - self._counted_bytes
        self._counted_bytes = size
        if service.buffered_bytes > service.config.max_buffered_bytes:
            self._refuse(overloaded("too many bytes of requests are being received"))

    def _uncount_body(self) -> None:
        self.service.buffered_bytes -= self._counted_bytes
        self._counted_bytes = 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        # Since it came, others may have gone: then it has a place of its own.
        self._is_spare = self._is_spare and self._beyond() > 0
        if self._is_spare and self.url.partition(b"?")[0] not in _SPARE_PATHS:
            self._refusal = _too_many()
            raise self._refusal
        # CONNECT is an upgrade by itself; it is refused below, where all paths are.
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._offers_upgrade = True
            return
        endpoint = self._fast_path_endpoint()
        if endpoint is not None:
            self._endpoint = endpoint
            self._body = b""
            exchange = self._exchange
            exchange.response_complete = False
            self.cycle = exchange  # type: ignore[assignment]
            return
        try:
            check_head(self.parser.get_http_version(), self.headers)
        except RequestError as error:
            self._refusal = error
            raise
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = overloaded(f"{MAX_PIPELINED} requests wait on a connection")
            raise self._refusal
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers += headers
        self.expect_100_continue = any(
            name == b"expect" and value.lower() == b"100-continue"
            for name, value in headers
        )
        super().on_headers_complete()
        if self._is_spare and self.cycle is not None:
            self.cycle.keep_alive = False

    def _beyond(self) -> int:
        """Return the number of connections beyond MAX_CONNECTIONS; below 0: fewer."""
        return len(self.connections) - self.service.config.max_connections

    def _fast_path_endpoint(self) -> Endpoint | None:
        """Return the model of an ordinary inference request, else None."""
        if (
            (self.cycle is not None and not self.cycle.response_complete)
            or self.flow.write_paused
            or self.parser.get_method() != b"POST"
        ):
            return None
        endpoint = self.service.models_by_path.get(self.url.decode("latin-1"))
        if endpoint is None:
            return None
        self._fields = fields = dict(self.headers)
        self._exchange.keep_alive = keep_alive = self.parser.should_keep_alive()
        # HTTP/1.0 keeps no connection without this header.
        if (b"connection" in fields or not keep_alive) and (
            self.parser.get_http_version() != "1.1"
        ):
            return None
        # Headers that must appear once in a head are checked in the slow path.
        is_unusual = b"host" not in fields or len(fields) != len(self.headers)
        if is_unusual or b"expect" in fields:
            return None
        length = fields.get(b"content-length", b"")
        if not length.isdigit() or len(length) > 5 or int(length) > SHORT_WAY_BYTES:
            return None
        return endpoint if int(length) <= self.service.config.max_body_bytes else None

    def on_body(self, body: bytes) -> None:
        if self._endpoint is None:
            super().on_body(body)
        elif not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        if self._offers_upgrade:
            return
        self._receiving_since = 0.0
        self._is_in_head = False
        endpoint = self._endpoint
        if endpoint is None:
            super().on_message_complete()
            return
        self._endpoint = None
        if self._counted_bytes:
            self._uncount_body()
        self.service.infer(
            endpoint, self._fields, self._body, self._respond, self._respond_text
        )

    # What is sent

    def _respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer the request of the short way."""
        exchange = self._exchange
        exchange.response_complete = True
        if self.transport.is_closing():
            return
        parts = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        keep_alive = exchange.keep_alive and not self.service.is_draining
        parts += (b"\r\n" if keep_alive else self._end(headers), body)
        self.transport.write(b"".join(parts))
        self._go_on(keep_alive=keep_alive)

    def _respond_text(self, head: bytes, body: bytes) -> None:
        """Answer it with 200; `head` is the text of the headers."""
        exchange = self._exchange
        exchange.response_complete = True
        if self.transport.is_closing():
            return
        start = self.start.text(self.server_state.default_headers)
        keep_alive = exchange.keep_alive and not self.service.is_draining
        end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((start, head, end, body)))
        self._go_on(keep_alive=keep_alive)

    def _go_on(self, *, keep_alive: bool) -> None:
        if not keep_alive:
            self.transport.close()
        elif self.pipeline:
            self.on_response_complete()
        else:
            self._idle_since = self.loop.time()

    @staticmethod
    def _end(headers: Headers) -> bytes:
        if any(name == b"connection" for name, _ in headers):
            return b"\r\n"
        return b"connection: close\r\n\r\n"

    def send_400_response(self, msg: str) -> None:
        """Answer what uvicorn cannot parse, or what this class refused to."""
        self._refuse(self._refusal or RequestError(400, "bad_request", msg))

    def _refuse(self, error: RequestError) -> None:
        """Answer outside any request and close."""
        if self.transport.is_closing():
            return
        body = error.body()
        self.service.count_http_error(error.status)
        parts = [STATUS_LINE[error.status]]
        for name, value in (*self.server_state.default_headers, *error.headers):
            parts += (name, b": ", value, b"\r\n")
        parts.append(
            b"content-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (len(body), body)
        )
        self.transport.write(b"".join(parts))
        self.transport.close()

    # What takes too long

    def pause_writing(self) -> None:
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = 0.0
        super().resume_writing()

    def check(self, now: float) -> None:
        """Close the connection if the client takes too long; call now and then."""
        config = self.service.config
        limit = config.request_timeout_seconds
        if self.transport.is_closing():
            # The client does not read, so what is left to write stays.
            self._closing_since = self._closing_since or now
            if now - self._closing_since > limit:
                self.transport.abort()
        elif self._stalled_since and now - self._stalled_since > limit:
            self.transport.abort()
        elif self._receiving_since and now - self._receiving_since > limit:
            self._expire(now)
        elif self._idle_since and now - self._idle_since > config.keepalive_seconds:
            self.transport.close()

    def _expire(self, now: float) -> None:
        limit = self.service.config.request_timeout_seconds
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if self._endpoint is not None or (self._is_in_head and not is_answering):
            self._refuse(
                RequestError(
                    408,
                    "request_timeout",
                    f"the request took longer to arrive than {limit:g} s",
                )
            )
        elif now - self._receiving_since > limit + GRACE_SECONDS:
            # The application has given its own answer, if one was due.
            self.transport.abort()


def _too_many() -> RequestError:
    return overloaded("too many connections are open")
