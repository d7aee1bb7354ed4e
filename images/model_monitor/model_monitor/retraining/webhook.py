"""One attempt to hand a request over to a webhook."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from model_monitor.retraining.settings import Address

SILENCE_SECONDS = 5.0
"""For which a receiver may say nothing."""
ATTEMPT_SECONDS = 10.0
"""That a whole attempt may take; a receiver that sends a byte now and then cannot hold
the cycle up for longer."""
FIRST_BACKOFF_SECONDS = 60.0
LONGEST_BACKOFF_SECONDS = 6 * 3600.0
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Answer:
    """What came of an attempt."""

    is_accepted: bool
    text: str
    """The status, or why there is none. Never what the receiver wrote."""


def backoff_seconds(attempts: int) -> float:
    """Return how long to wait after so many attempts, 1 or more."""
    doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(attempts - 1, 20)
    return min(doubled, LONGEST_BACKOFF_SECONDS)


def post(to: Address, token: Path | None, request_id: str, body: bytes) -> Answer:
    """Send a request; 2xx is acceptance, and anything else is to be tried again.

    The receiver may get one several times, always with the same Idempotency-Key.
    Redirects are not followed: the token is for this address.
    """
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": f'"{request_id}"',
        "User-Agent": "model-monitor",
    }
    try:
        if token:
            headers["Authorization"] = f"Bearer {_read(token)}"
        status = _exchange(to, headers, body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(False, str(error) or type(error).__name__)
    return Answer(200 <= status < 300, str(status))


def _exchange(to: Address, headers: dict[str, str], body: bytes) -> int:
    connection = _connection(to)
    cut = threading.Event()
    limit = threading.Timer(ATTEMPT_SECONDS, _abort, [connection, cut])
    limit.daemon = True
    limit.start()
    try:
        connection.request("POST", to.path, body, headers)
        status = connection.getresponse().status
        # Headers that were cut off read as if they had ended.
        if cut.is_set():
            raise TimeoutError(f"no whole answer within {ATTEMPT_SECONDS:g} s")
        return status
    finally:
        limit.cancel()
        connection.close()


def _connection(to: Address) -> http.client.HTTPConnection:
    if not to.is_secure:
        return http.client.HTTPConnection(to.host, to.port, timeout=SILENCE_SECONDS)
    context = ssl.create_default_context()
    return http.client.HTTPSConnection(
        to.host, to.port, timeout=SILENCE_SECONDS, context=context
    )


def _abort(connection: http.client.HTTPConnection, cut: threading.Event) -> None:
    """End whatever the connection waits for, from another thread."""
    cut.set()
    with contextlib.suppress(OSError, AttributeError):
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


def _read(token: Path) -> str:
    found = token.read_text().strip()
    if not _TOKEN.fullmatch(found):
        raise ValueError(f"{token} holds no token")
    return found
