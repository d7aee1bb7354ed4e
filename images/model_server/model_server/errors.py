"""Errors of a request, as the client gets them."""

from __future__ import annotations

import math

import orjson

MAX_RETRY_AFTER_SECONDS = 60

SERVER_ERRORS = (
    (500, "internal"),
    (500, "model_failed"),
    (503, "overloaded"),
    (504, "deadline_exceeded"),
)
"""Status and code of a model's answers that are not the client's fault."""


ERROR_CODES = (
    "bad_request",
    "body_too_large",
    "deadline_exceeded",
    "headers_too_large",
    "internal",
    "invalid_encoding",
    "invalid_json",
    "invalid_request",
    "invalid_request_id",
    "invalid_timeout",
    "method_not_allowed",
    "model_failed",
    "not_found",
    "not_implemented",
    "not_ready",
    "overloaded",
    "request_timeout",
    "too_many_rows",
    "unknown_model",
    "unknown_revision",
    "unknown_version",
    "unsupported_media_type",
)
"""Every code that an answer may have; a test finds them in the source and README."""


class RequestError(Exception):
    """A request that is answered with an error of the README's table."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        path: str = "",
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.path = path
        self.headers = headers

    def body(self, request_id: str = "") -> bytes:
        """Return the JSON text of the answer."""
        content = {"error": self.message, "code": self.code}
        if self.path:
            content["path"] = self.path
        if request_id:
            content["request_id"] = request_id
        return orjson.dumps(content)

    def plain_body(self) -> bytes:
        """Return the answer in TensorFlow Serving's form, which has the text alone."""
        return orjson.dumps({"error": self.message})


def invalid(path: str, message: str) -> RequestError:
    """Return the error of a body that is JSON but not a request of this model."""
    return RequestError(400, "invalid_request", f"{path}: {message}", path=path)


def overloaded(what: str, retry_after_seconds: float = 1.0) -> RequestError:
    """Return the error of a full queue, buffer or table of connections."""
    seconds = min(max(1, math.ceil(retry_after_seconds)), MAX_RETRY_AFTER_SECONDS)
    return RequestError(
        503,
        "overloaded",
        f"{what}; try again after the seconds in Retry-After",
        headers=((b"retry-after", b"%d" % seconds),),
    )


def deadline_exceeded() -> RequestError:
    """Return the error of a request whose deadline passed while it waited."""
    return RequestError(
        504,
        "deadline_exceeded",
        "the request's own deadline passed before the model was free; allow more time "
        "or send less at once",
    )


def internal() -> RequestError:
    """Return the error of a fault of our own, whose traceback the log has."""
    return RequestError(500, "internal", "a fault of the server, see its log")
