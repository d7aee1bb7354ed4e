"""What of HTTP the transports and the service share: types, header rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from model_server.errors import RequestError
from model_server.protocol import REQUEST_ID

Headers = list[tuple[bytes, bytes]]
Respond = Callable[[int, Headers, bytes], None]
Fields = Mapping[bytes, bytes]
Answer = tuple[int, Headers, bytes]

JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
JSON_TYPES = frozenset({b"", b"application/json", b"application/json; charset=utf-8"})


def request_id_of(fields: Fields) -> str:
    """Return the request's X-Request-Id or an empty string; raise on a bad one."""
    value = fields.get(b"x-request-id")
    if value is None:
        return ""
    text = value.decode("latin-1")
    if not REQUEST_ID.fullmatch(text):
        raise RequestError(
            400,
            "invalid_request_id",
            "X-Request-Id must be 1 to 128 of letters, digits and . _ : / + = @ -",
        )
    return text


def check_media_type(fields: Fields) -> None:
    """Raise on a body that is declared to be something else than plain JSON."""
    media = fields.get(b"content-type", b"")
    if media not in JSON_TYPES:
        kind, _, parameters = media.lower().partition(b";")
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
                f"content-type {shown!r}: send application/json in UTF-8",
            )
    encoding = fields.get(b"content-encoding", b"identity")
    if encoding != b"identity" or b"inference-header-content-length" in fields:
        raise RequestError(
            415,
            "unsupported_media_type",
            "neither content encodings nor binary tensors are taken; send plain JSON",
        )
