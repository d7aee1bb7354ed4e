"""Errors of requests as gRPC says them: a status, and metadata after it."""

from __future__ import annotations

from typing import Any

import grpc

from model_server.errors import RequestError

Metadata = tuple[tuple[str, str], ...]

_BY_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.RESOURCE_EXHAUSTED,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def status_of(error: RequestError) -> Any:
    """Return the status code of an error that HTTP says by a number."""
    if error.code == "not_ready":
        return grpc.StatusCode.UNAVAILABLE
    return _BY_STATUS.get(error.status, grpc.StatusCode.INTERNAL)


def metadata_of(error: RequestError, request_id: str) -> Metadata:
    """Return what follows an error: its code, and when to try again.

    `grpc-retry-pushback-ms` is what gRPC's own clients heed (gRFC A6).
    """
    found = [("x-error-code", error.code)]
    if request_id:
        found.append(("x-request-id", request_id))
    for name, value in error.headers:
        if name == b"retry-after":
            seconds = value.decode()
            found += [
                ("retry-after", seconds),
                ("grpc-retry-pushback-ms", str(int(float(seconds) * 1000))),
            ]
    return tuple(found)
