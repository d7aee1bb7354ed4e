"""What Flask and Django share: a WSGI environment in, an answer of the contract out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from model_server.adapters.registry import ANNOUNCE_CLOSE
from model_server.errors import RequestError

if TYPE_CHECKING:
    # They import numpy and onnxruntime, which gunicorn's own process must not: it
    # forks.
    from model_server.adapters.predictor import Predictor
    from model_server.http import Fields, Headers

CHUNK_BYTES = 65536
"""Read at once; gunicorn skips as much of an unread body to keep a connection."""
HOP_BY_HOP = frozenset({b"connection"})
"""Headers that an application may not set: the WSGI server does (PEP 3333)."""


def answer(
    predictor: Predictor,
    method: str,
    path: str,
    environ: Mapping[str, Any],
    cached: Callable[[], bytes],
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body; `cached` gives a body of a declared length."""
    unread = True

    def read() -> bytes:
        nonlocal unread
        body = _body(environ, predictor.config.max_body_bytes, cached)
        unread = False
        return body

    status, headers, body = predictor.http(method, path, fields(environ), read)
    if unread:
        _announce_close(environ)
    return status, text(headers), b"" if method == "HEAD" else body


def refusal(error: RequestError, request_id: str) -> tuple[bytes, Headers]:
    """Return body and headers of an error in a route of the application's own."""
    headers: Headers = [(b"content-type", b"application/json"), *error.headers]
    return error.body(request_id), headers


def fields(environ: Mapping[str, Any]) -> Fields:
    """Return the request's headers as the core has them: lower case, bytes."""
    found = {
        name[5:].replace("_", "-").lower().encode("latin-1"): value.encode("latin-1")
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            key = name.replace("_", "-").lower().encode()
            found[key] = environ[name].encode("latin-1")
    return found


def text(headers: Headers) -> list[tuple[str, str]]:
    """Return headers as WSGI has them."""
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
        if name not in HOP_BY_HOP
    ]


def _body(environ: Mapping[str, Any], limit: int, cached: Callable[[], bytes]) -> bytes:
    declared = environ.get("CONTENT_LENGTH") or ""
    try:
        if declared:
            if not declared.isdigit() or int(declared) > limit:
                raise too_large(limit)
            return cached()
        if not environ.get("wsgi.input_terminated"):
            return b""
        return _chunks(environ["wsgi.input"], limit)
    except OSError:  # the socket's own limit of time, or the client has gone
        raise RequestError(
            408, "request_timeout", "the body took too long to arrive or broke off"
        ) from None


def _announce_close(environ: Mapping[str, Any]) -> None:
    """Have the server say that it closes after the answer, where a body is unread.

    Otherwise it waits for the rest, gives up at its own bound and closes a connection
    on which the client may be sending the next request already. An application cannot
    say so itself: WSGI keeps `connection` to the server.
    """
    if environ.get("CONTENT_LENGTH") or environ.get("HTTP_TRANSFER_ENCODING"):
        environ.get(ANNOUNCE_CLOSE, lambda: None)()


def must_close(environ: Mapping[str, Any]) -> bool:
    """Whether a body that nobody reads is more than the server itself skips."""
    declared = environ.get("CONTENT_LENGTH") or "0"
    if environ.get("HTTP_TRANSFER_ENCODING") or not declared.isdigit():
        return True
    return int(declared) > CHUNK_BYTES


def _chunks(stream: Any, limit: int) -> bytes:
    """Read a body of unknown length, no more than a bit beyond the limit."""
    chunks: list[bytes] = []
    size = 0
    while chunk := stream.read(CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
    return b"".join(chunks)


def too_large(limit: int) -> RequestError:
    """Return the error of a body over the limit, as the server words it."""
    return RequestError(
        413,
        "body_too_large",
        f"the body may have at most {limit} bytes; send fewer rows at a time",
    )
