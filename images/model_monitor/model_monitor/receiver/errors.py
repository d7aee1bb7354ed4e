"""Errors as clients see them: {"error": {"code", "message", "fix"}}."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

RETRY_AFTER_SECONDS = 5


class ReceiverError(Exception):
    """A request that is refused."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        fix: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.message, self.fix = message, fix
        self.headers = headers or {}

    def response(self) -> Response:
        content = {"code": self.code, "message": self.message, "fix": self.fix}
        headers = dict(self.headers)
        # The rest of the body is not read, so no further request can follow it.
        headers["Connection"] = "close"
        return JSONResponse({"error": content}, self.status, headers)


def busy(status: HTTPStatus, code: str, message: str) -> ReceiverError:
    """Return the error of a request that may succeed later."""
    return ReceiverError(
        status,
        code,
        message,
        "send it again later",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def too_large(most_bytes: int) -> ReceiverError:
    return ReceiverError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too_large",
        f"the body is larger than {most_bytes} bytes",
        "send less at once, or raise the limit",
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ReceiverError)
    return error.response()


async def _http(_: Request, error: Exception) -> Response:
    """Answer what the framework refuses: an unknown path or method."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return ReceiverError(
        status,
        status.name.lower(),
        str(error.detail),
        "see docs for the paths and methods of the receiver",
        dict(error.headers or {}),
    ).response()


async def _gone(_: Request, __: Exception) -> Response:
    """Answer a client that is no longer there, for the log of requests."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _fault(_: Request, __: Exception) -> Response:
    return ReceiverError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "the receiver has a fault, or its disk",
        "send it again later, and look at the monitor's log",
    ).response()


HANDLERS: dict[Any, Any] = {
    ReceiverError: _refused,
    HTTPException: _http,
    ClientDisconnect: _gone,
    Exception: _fault,
}
