"""One gRPC call as a stream of HTTP/2: its one message, its deadline, its answer.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import re
import time
import zlib
from typing import TYPE_CHECKING

from model_server.errors import RequestError, overloaded
from model_server.grpc_status import (
    HEAD,
    OK,
    Metadata,
    Status,
    block_of,
    metadata_of,
    status_of,
)
from model_server.http2_headers import Head, literal
from model_server.http2_sending import Http2Sending
from model_server.http2_stream import Stream

if TYPE_CHECKING:
    from model_server.grpc_server import GrpcServer, Method

PREFIX_BYTES = 5
"""Before each message: whether it is compressed, and its length."""
CONTENT_TYPE = b"application/grpc"
WINDOWS = {b"gzip": 31, b"deflate": 15}
ENCODINGS = ((b"grpc-accept-encoding", b"identity,deflate,gzip"),)
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class GrpcCall(Stream):
    """A call of a method with one message; the server has its method answer it."""

    __slots__ = ("_buffer", "_is_counted", "_method", "_server", "_started", "_taken")

    def __init__(
        self,
        server: GrpcServer,
        connection: Http2Sending,
        identifier: int,
        head: Head,
    ) -> None:
        super().__init__(connection, identifier, head)
        self._server = server
        self._method: Method | None = None
        self._buffer: bytearray | None = None
        self._is_counted = False
        self._taken = False
        self._started = 0.0

    # What the connection calls

    def begin(self) -> None:
        """Find the method; refuse what cannot be a call, or is one too many."""
        head, server = self.head, self._server
        self._started = time.monotonic()
        if head.method != b"POST":
            self._refuse_http(b"405")
        elif not head.fields.get(b"content-type", b"").startswith(CONTENT_TYPE):
            self._refuse_http(b"415")
        elif head.is_too_large:
            limit = self.connection.limits.max_header_bytes
            self.end(
                Status.RESOURCE_EXHAUSTED,
                f"the metadata may have at most {limit} bytes",
                ((b"x-error-code", b"headers_too_large"),),
            )
        elif (method := server.methods.get(head.path)) is None:
            shown = head.path[:128].decode("latin-1")
            self.end(Status.UNIMPLEMENTED, f"no method {shown} here")
        elif server.calls >= server.max_calls:
            most = server.max_calls
            self.end(Status.RESOURCE_EXHAUSTED, f"{most} calls run already")
        else:
            self._method = method
            self._is_counted = True
            server.calls += 1

    def received(self, data: bytes) -> None:
        """Take a piece of the message; what follows the first one means nothing."""
        if self._taken or self.is_answered:
            return
        if self._buffer is not None:
            self._hold(data)
            if self.is_answered:
                return
            data = bytes(self._buffer) if self._is_whole() else b""
        if len(data) >= PREFIX_BYTES:
            size = int.from_bytes(data[1:PREFIX_BYTES])
            if size > self._server.max_body_bytes:
                self._refuse_size()
                return
            stop = PREFIX_BYTES + size
            if len(data) >= stop:
                self._take(data[0], data[PREFIX_BYTES:stop])
                return
        if self.has_ended:
            self.end(
                Status.INVALID_ARGUMENT,
                "the call ended before its message",
                ((b"x-error-code", b"bad_request"),),
            )
        elif self._buffer is None:
            self._buffer = bytearray()
            self._hold(data)

    def ended(self) -> None:
        """Give back what the call held."""
        self.is_answered = True
        self._let_buffer_go()
        if self._is_counted:
            self._is_counted = False
            self._server.calls -= 1

    def check(self, now: float) -> None:
        """End a call whose message does not come."""
        seconds = self.connection.limits.request_timeout_seconds
        if not self._taken and now - self._started > seconds:
            self.end(
                Status.DEADLINE_EXCEEDED,
                f"the message took longer to arrive than {seconds:g} s",
                ((b"x-error-code", b"request_timeout"),),
            )

    # What methods ask and answer

    def metadata(self, name: bytes) -> str:
        """Return the call's metadata of a name, or an empty text."""
        value = self.head.fields.get(name)
        return value.decode("latin-1") if value else ""

    def deadline(self) -> float | None:
        """Return the client's deadline, in seconds of `time.monotonic`."""
        text = self.head.fields.get(b"grpc-timeout")
        if text is None:
            return None
        match = _TIMEOUT.fullmatch(text)
        if match is None:
            raise RequestError(
                400, "invalid_timeout", "grpc-timeout: 1 to 8 digits and one of HMSmun"
            )
        return self._started + int(match[1]) * _UNITS[match[2]]

    def answer(self, message: bytes, trailers: bytes = OK) -> None:
        """Answer with a message, and end the call."""
        if not self.is_answered:
            size = len(message).to_bytes(4)
            self.connection.send(self, HEAD, b"\0" + size + message, trailers)

    def tell(self, message: bytes, *, is_first: bool) -> None:
        """Send one of several messages; the call goes on."""
        if not self.is_answered:
            size = len(message).to_bytes(4)
            head = HEAD if is_first else b""
            self.connection.send(self, head, b"\0" + size + message, b"")

    def fail(self, error: RequestError, request_id: str = "") -> None:
        """End the call with an error of a request."""
        self.end(status_of(error), error.message, metadata_of(error, request_id))

    def end(self, status: Status, message: str, metadata: Metadata = ()) -> None:
        """End the call with an error, where nothing has been sent yet."""
        if not self.is_answered:
            block = HEAD + block_of(status, message, metadata)
            self.connection.send(self, b"", b"", block)

    def finish(self) -> None:
        """End the call after several messages."""
        if not self.is_answered:
            self.connection.send(self, b"", b"", OK)

    # The message

    def _take(self, flag: int, message: bytes) -> None:
        self._taken = True
        self._let_buffer_go()
        if flag:
            coding = self.head.fields.get(b"grpc-encoding", b"identity")
            window = WINDOWS.get(coding)
            if window is None or flag != 1:
                shown = coding[:60].decode("latin-1")
                self.end(
                    Status.UNIMPLEMENTED,
                    f"grpc-encoding {shown!r} of a compressed message: send gzip, "
                    "deflate or none",
                    ENCODINGS,
                )
                return
            found = self._inflated(message, window)
            if found is None:
                return
            message = found
        if self._method is not None:
            self._server.run(self._method, self, message)

    def _inflated(self, message: bytes, window: int) -> bytes | None:
        """Return a message as it was before it was compressed, or refuse it."""
        limit = self._server.max_body_bytes
        stream = zlib.decompressobj(window)
        try:
            found = stream.decompress(message, limit + 1)
        except zlib.error:
            found = b""
        if len(found) > limit:
            self._refuse_size()
        elif not stream.eof:
            self.end(
                Status.INVALID_ARGUMENT,
                "the message is not what its grpc-encoding says",
                ((b"x-error-code", b"invalid_encoding"),),
            )
        else:
            return found
        return None

    def _is_whole(self) -> bool:
        """Tell whether the buffer has what can be read: a message, or one too long."""
        held = self._buffer or b""
        size = int.from_bytes(held[1:PREFIX_BYTES])
        is_too_long = size > self._server.max_body_bytes
        return len(held) >= PREFIX_BYTES and (
            is_too_long or len(held) >= PREFIX_BYTES + size
        )

    def _hold(self, data: bytes) -> None:
        """Keep a piece of a message, as far as there is room for all that is kept."""
        service = self._server.service
        if self._buffer is not None:
            self._buffer += data
            service.buffered_bytes += len(data)
        if service.buffered_bytes > service.config.max_buffered_bytes:
            self.fail(overloaded("too many bytes of requests are being received"))

    def _let_buffer_go(self) -> None:
        if self._buffer is not None:
            self._server.service.buffered_bytes -= len(self._buffer)
            self._buffer = None

    def _refuse_size(self) -> None:
        limit = self._server.max_body_bytes
        self.end(
            Status.RESOURCE_EXHAUSTED,
            f"the message may have at most {limit} bytes, inflated too; send fewer "
            "rows at a time",
        )

    def _refuse_http(self, status: bytes) -> None:
        """Answer a request that is not gRPC (`:status` is 8 in the static table)."""
        block = (
            b"\x08" + bytes((len(status),)) + status + literal(b"content-length", b"0")
        )
        self.connection.send(self, b"", b"", block)
