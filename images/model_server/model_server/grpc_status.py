"""Errors of requests as gRPC says them: a status, and metadata after it."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from model_server.errors import RequestError
from model_server.http2_headers import literal

Metadata = tuple[tuple[bytes, bytes], ...]


class Status(IntEnum):
    """gRPC's status codes, those that are used here."""

    OK = 0
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


_BY_STATUS = {
    400: Status.INVALID_ARGUMENT,
    404: Status.NOT_FOUND,
    408: Status.DEADLINE_EXCEEDED,
    413: Status.INVALID_ARGUMENT,
    415: Status.INVALID_ARGUMENT,
    503: Status.RESOURCE_EXHAUSTED,
    504: Status.DEADLINE_EXCEEDED,
}
_SHOWN = frozenset(range(0x20, 0x7F)) - {ord("%")}
HEAD = b"\x88" + b"\x0f\x10\x10application/grpc"
"""Start of every response: 200 and the content type, by the static table."""
OK = literal(b"grpc-status", b"0")


def status_of(error: RequestError) -> Status:
    """Return the status code of an error that HTTP says by a number."""
    if error.code == "not_ready":
        return Status.UNAVAILABLE
    return _BY_STATUS.get(error.status, Status.INTERNAL)


def metadata_of(error: RequestError, request_id: str) -> Metadata:
    """Return what follows an error: its code, and when to try again.

    `grpc-retry-pushback-ms` is what gRPC's own clients heed (gRFC A6).
    """
    found = [(b"x-error-code", error.code.encode())]
    if request_id:
        found.append((b"x-request-id", request_id.encode()))
    for name, value in error.headers:
        if name == b"retry-after":
            milliseconds = int(float(value) * 1000)
            found += [
                (b"retry-after", value),
                (b"grpc-retry-pushback-ms", b"%d" % milliseconds),
            ]
    return tuple(found)


def block_of(status: Status, message: str, metadata: Metadata) -> bytes:
    """Return the headers that end a call with an error.

    A message is percent-encoded, as gRPC's protocol over HTTP/2 has it.
    """
    shown = "".join(
        chr(byte) if byte in _SHOWN else f"%{byte:02X}" for byte in message.encode()
    )
    fields = ((b"grpc-status", b"%d" % status), (b"grpc-message", shown.encode()))
    return b"".join(literal(name, value) for name, value in fields + metadata)


@lru_cache(maxsize=64)
def revision_block(revision: str) -> bytes:
    """Return what ends the answers of a revision, but for the request's id."""
    return OK + literal(b"x-model-revision", revision.encode())
