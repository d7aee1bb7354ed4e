"""gzip and deflate of request and answer bodies (RFC 9110, section 8.4).

`deflate` is the zlib format of RFC 1950, as the RFC has it.
"""

from __future__ import annotations

import asyncio
import functools
import zlib

from model_server.errors import RequestError
from model_server.http import Fields, Headers, Respond

LEAST_BYTES = 1024
"""An answer smaller than this fits in one packet anyway."""
THREAD_BYTES = 65536
"""Above this size, a thread compresses, so the loop is not blocked for milliseconds."""
LEVEL = 1

_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


def inflated(fields: Fields, body: bytes | bytearray, limit: int) -> bytes | bytearray:
    """Return a request's body as it was before it was compressed.

    No more than `limit` bytes are ever inflated. Raises `RequestError`.
    """
    coding = fields.get(b"content-encoding", b"identity").strip().lower()
    if coding == b"identity":
        return body
    window = _WINDOWS.get(coding)
    if window is None:
        shown = coding[:60].decode("latin-1")
        raise RequestError(
            415,
            "unsupported_media_type",
            f"content-encoding {shown!r}: send gzip, deflate or none",
            headers=((b"accept-encoding", b"gzip, deflate"),),
        )
    stream = zlib.decompressobj(window)
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise _broken(coding, str(error)) from None
    if len(content) > limit:
        raise RequestError(
            413,
            "body_too_large",
            f"the body may have at most {limit} bytes, inflated too; send fewer rows "
            "at a time",
        )
    if not stream.eof:
        raise _broken(coding, "it ends too early")
    if stream.unused_data:
        raise _broken(coding, "something follows its end")
    return content


def _broken(coding: bytes, why: str) -> RequestError:
    return RequestError(
        400, "invalid_encoding", f"the body is not {coding.decode()}: {why}"
    )


@functools.lru_cache(maxsize=256)
def accepted(accept_encoding: bytes) -> bytes:
    """Return the coding to answer with, or an empty text for none."""
    weights: dict[bytes, float] = {}
    for item in accept_encoding.lower().split(b","):
        coding, _, parameter = item.partition(b";")
        weight = 1.0
        if parameter.strip().startswith(b"q="):
            try:
                weight = float(parameter.strip()[2:])
            except ValueError:
                weight = 0.0
        weights[coding.strip()] = weight
    for coding in (b"gzip", b"deflate"):
        if weights.get(coding, weights.get(b"*", 0.0)) > 0:
            return coding
    return b""


def compressed(content: bytes, coding: bytes) -> bytes:
    stream = zlib.compressobj(LEVEL, wbits=_WINDOWS[coding])
    return stream.compress(content) + stream.flush()


def encode(headers: Headers, body: bytes, coding: bytes) -> tuple[Headers, bytes]:
    """Return the headers and body of an answer in a coding."""
    body = compressed(body, coding)
    kept = [item for item in headers if item[0] != b"content-length"]
    kept += (
        (b"content-encoding", coding),
        (b"vary", b"accept-encoding"),
        (b"content-length", b"%d" % len(body)),
    )
    return kept, body


def encoding(respond: Respond, coding: bytes) -> Respond:
    """Return a `respond` that compresses what is large enough before it goes on."""

    def respond_encoded(status: int, headers: Headers, body: bytes) -> None:
        if len(body) < LEAST_BYTES:
            respond(status, headers, body)
        elif len(body) <= THREAD_BYTES:
            respond(status, *encode(headers, body, coding))
        else:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(None, encode, headers, body, coding)
            future.add_done_callback(lambda done: respond(status, *done.result()))

    return respond_encoded
