"""Shared HTTP parts of the transports and the service: types, header rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from model_server.errors import RequestError
from model_server.protocol import REQUEST_ID

Headers = list[tuple[bytes, bytes]]
Respond = Callable[[int, Headers, bytes], None]
RespondText = Callable[[bytes, bytes], None]
"""Answers with 200: gets the text of the headers and the body."""
Fields = Mapping[bytes, bytes]
Answer = tuple[int, Headers, bytes]

JSON = (b"content-type", b"application/json")
OCTETS = b"application/octet-stream"
MAX_DIGITS = 9
VERSIONS = frozenset({"1.0", "1.1"})
CLOSE = (b"connection", b"close")
JSON_TYPES = frozenset({b"", b"application/json", b"application/json; charset=utf-8"})


def check_head(version: str, headers: Headers) -> None:
    """Raise if a head is ambiguous about its host or its length.

    Names are in lower case. RFC 9112, sections 2.3, 3.2 and 6.1.
    """
    if version not in VERSIONS:
        raise _bad(f"HTTP/{version}: send HTTP/1.1 or HTTP/1.0")
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (not hosts and version == "1.1"):
        raise _bad(f"{hosts} Host headers: send one")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if not codings:
        return
    shown = b", ".join(codings)[:60].decode("latin-1")
    names = [it.strip().lower() for value in codings for it in value.split(b",")]
    if names[-1] != b"chunked" or names.count(b"chunked") > 1 or version == "1.0":
        raise _bad(
            f"Transfer-Encoding {shown!r}: chunked comes last, once, in HTTP/1.1"
        )
    if names != [b"chunked"]:
        raise RequestError(
            501,
            "not_implemented",
            f"Transfer-Encoding {shown!r}: send chunked alone; a compressed body has "
            "Content-Encoding",
        )


def _bad(message: str) -> RequestError:
    return RequestError(400, "bad_request", message)


def request_id_of(fields: Fields) -> str:
    """Return the request's X-Request-Id or an empty string; raise on a bad one.

    An empty header is what a client or proxy sends that has no id to give.
    """
    value = fields.get(b"x-request-id")
    if not value:
        return ""
    text = value.decode("latin-1")
    if not REQUEST_ID.fullmatch(text):
        raise RequestError(
            400,
            "invalid_request_id",
            "X-Request-Id must be 1 to 128 of letters, digits and . _ : / + = @ -",
        )
    return text


def deadline_of(fields: Fields, started_at: float) -> float:
    """Return the deadline that a request sets itself, in seconds as `started_at` is."""
    value = fields[b"x-request-timeout-ms"]
    if not value.isdigit() or len(value) > MAX_DIGITS or not int(value):
        raise RequestError(
            400,
            "invalid_timeout",
            "X-Request-Timeout-Ms must be a whole number of milliseconds, from 1 to "
            f"{MAX_DIGITS} digits",
        )
    return started_at + int(value) / 1000


def json_bytes_of(fields: Fields, size: int) -> int:
    """Return how much of a body of `size` bytes is JSON, with raw tensors after it."""
    value = fields[b"inference-header-content-length"]
    if not value.isdigit() or len(value) > MAX_DIGITS or int(value) > size:
        raise RequestError(
            400,
            "invalid_request",
            "Inference-Header-Content-Length must be the length of the JSON that the "
            f"body of {size} bytes begins with",
            path="inference-header-content-length",
        )
    return int(value)


def check_media_type(fields: Fields) -> None:
    """Raise on a body that is declared to be neither JSON nor JSON and raw tensors."""
    media = fields.get(b"content-type", b"")
    if media in JSON_TYPES:
        return
    kind, _, parameters = media.lower().partition(b";")
    if kind.strip() == OCTETS and b"inference-header-content-length" in fields:
        return
    charset = parameters.strip().replace(b'"', b"")
    if kind.strip() != b"application/json" or charset not in {
        b"",
        b"charset=utf-8",
        b"charset=utf8",
    }:
        shown = media[:60].decode("latin-1")
        raise RequestError(
            415,
            "unsupported_media_type",
            f"content-type {shown!r}: send application/json in UTF-8, or "
            "application/octet-stream with Inference-Header-Content-Length",
        )
