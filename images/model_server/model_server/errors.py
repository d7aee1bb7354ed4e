"""What can be wrong with a request, as the client is told."""

from __future__ import annotations

import orjson

SERVER_ERRORS = (
    (500, "internal"),
    (500, "model_failed"),
    (503, "overloaded"),
)
"""Status and code of a model's answers that are not the client's fault."""


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


def invalid(path: str, message: str) -> RequestError:
    """Return the error of a body that is JSON but not a request of this model."""
    return RequestError(400, "invalid_request", f"{path}: {message}", path=path)


def overloaded(what: str) -> RequestError:
    """Return the error of a full queue, buffer or table of connections."""
    return RequestError(
        503,
        "overloaded",
        f"{what}; try again after the seconds in Retry-After",
        headers=((b"retry-after", b"1"),),
    )


def internal() -> RequestError:
    """Return the error of a fault of our own, whose traceback the log has."""
    return RequestError(500, "internal", "a fault of the server, see its log")
