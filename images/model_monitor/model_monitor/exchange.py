"""One HTTP exchange with another program, of bounded duration."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from model_monitor.config_fields import WrongError

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?\.?")


@dataclass(frozen=True)
class Address:
    """The address of a program."""

    is_secure: bool
    host: str
    port: int
    path: str
    """With the query, if there is one."""


@dataclass(frozen=True)
class Patience:
    """Timeouts, in seconds."""

    silence: float = 5.0
    """Longest pause of the other side."""
    whole: float = 10.0
    """Timeout of the whole exchange: a server that sends a byte now and then cannot
    delay the cycle any longer."""


def exchange(
    to: Address,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    patience: Patience,
    most_bytes: int = 0,
) -> tuple[int, bytes]:
    """Return the status and the body; 0 bytes at most: the status alone.

    Redirects are not followed. Raises OSError and http.client.HTTPException, and
    ValueError for an answer of more bytes.
    """
    connection = _connection(to, patience.silence)
    cut = threading.Event()
    sockets: list[socket.socket] = []
    limit = threading.Timer(patience.whole, _abort, [connection, sockets, cut])
    limit.daemon = True
    limit.start()
    try:
        connection.connect()
        # The connection forgets it once the headers of the last answer have come.
        sockets.append(connection.sock)
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        content = response.read(most_bytes + 1) if most_bytes else b""
        # A truncated response looks like a complete one.
        if cut.is_set():
            raise TimeoutError(f"no whole answer within {patience.whole:g} s")
        if len(content) > most_bytes:
            raise ValueError(f"an answer of more than {most_bytes} bytes")
        return response.status, content
    finally:
        limit.cancel()
        connection.close()


def _connection(to: Address, silence: float) -> http.client.HTTPConnection:
    if not to.is_secure:
        return http.client.HTTPConnection(to.host, to.port, timeout=silence)
    context = ssl.create_default_context()
    return http.client.HTTPSConnection(
        to.host, to.port, timeout=silence, context=context
    )


def _abort(
    connection: http.client.HTTPConnection,
    sockets: Sequence[socket.socket],
    cut: threading.Event,
) -> None:
    """End whatever the exchange waits for, from another thread."""
    cut.set()
    for it in (*sockets, connection.sock):
        with contextlib.suppress(OSError, TypeError):  # None before it is connected
            socket.socket.shutdown(it, socket.SHUT_RDWR)


def address(value: object) -> Address:
    """Return the parts of a URL; raise WrongError."""
    fix = "write http://HOST or https://HOST, with :PORT and /PATH as needed"
    if not isinstance(value, str):
        raise WrongError(f"is not text; {fix}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise WrongError(f"is not a URL ({error}); {fix}") from None
    if parts.scheme not in {"http", "https"}:
        raise WrongError(f"has not the scheme http or https; {fix}")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise WrongError(f"names no host; {fix}")
    if parts.username is not None or parts.fragment:
        raise WrongError("has a user or a fragment; give a secret as `token` instead")
    path = parts.path or "/"
    if not re.fullmatch(r"[!-~]+", f"{path}{parts.query}"):
        raise WrongError("has a space or a character beyond ASCII; write it as %XX")
    is_secure = parts.scheme == "https"
    return Address(
        is_secure,
        parts.hostname,
        port or (443 if is_secure else 80),
        f"{path}?{parts.query}" if parts.query else path,
    )
