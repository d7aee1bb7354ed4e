"""Bearer tokens (RFC 6750), compared in constant time."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request

from model_monitor.receiver.errors import ReceiverError, busy

_SCHEME = "bearer "


def check(request: Request, file: Path | None) -> None:
    """Raise ReceiverError unless the request has one of the file's tokens."""
    if file is None:
        return
    try:
        tokens = [it for it in file.read_bytes().split() if it]
    except OSError:
        tokens = []
    if not tokens:
        raise busy(
            HTTPStatus.SERVICE_UNAVAILABLE, "no_token", "the receiver has no token yet"
        )
    given = request.headers.get("authorization", "")
    token = given[len(_SCHEME) :].strip().encode("latin-1", "replace")
    is_bearer = given[: len(_SCHEME)].lower() == _SCHEME
    # All are compared, whichever is right.
    matches = [hmac.compare_digest(token, it) for it in tokens]
    if not is_bearer or not any(matches):
        raise ReceiverError(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "the request has no valid token",
            "send Authorization: Bearer TOKEN with a token of this receiver",
            {"WWW-Authenticate": "Bearer"},
        )
