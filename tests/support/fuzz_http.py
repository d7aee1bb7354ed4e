"""Broken HTTP requests without end, the same ones for the same seed."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

from tests.support.model_server import request

VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "1", "x" * 3000, [], [[]], {}, {"a": [1]}),
    *(0, -1, 2**31, -(2**31), 2**63, 2**64, 10**400, 1e308, 5e-324, -0.0, 0.1),
)
"""What stands where something else is meant; JSON has no NaN, see `NOT_JSON`."""

NOT_JSON = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"01", b"'a'", b"\xff", b"[")
SIZES = (0, -1, 2, 3, 301, 2**31, 2**63 - 1, -(2**63), 2**64, 10**30)
DATATYPES = ("FP64", "INT8", "UINT64", "BOOL", "BYTES", "FP16", "fp32", "", "FP32 ")
PATHS = (
    *("/", "/v2/models", "/v2/models/tiny/versions/0/infer", "/v2/models//infer"),
    *("/v2/models/" + "a" * 3000 + "/infer", "/infer/", "/infer?x=1", "/%00", "//"),
    *("/v2/models/tiny/versions/1/infer", "/metrics", "*", "/../../etc/passwd"),
)
HEADERS = (
    *(b"content-length: -1", b"content-length: 99999999999999999999"),
    *(b"content-length: 0x10", b"content-length: 5\r\ncontent-length: 6"),
    *(b"transfer-encoding: chunked", b"transfer-encoding: gzip, chunked"),
    *(b"content-type: text/html", b"content-type: \xff", b"content-encoding: br"),
    *(b"content-encoding: gzip", b"expect: 100-continue", b"expect: nothing"),
    *(b"x-request-id: a b", b"x-request-id: " + b"a" * 500),
    *(b"x-request-timeout-ms: x", b"x-request-timeout-ms: -5"),
    *(b"x-model-revision: none", b"x-model-revision: \x01"),
    *(b"inference-header-content-length: -1", b"inference-header-content-length: 9"),
    *(b"inference-header-content-length: 99999999", b"connection: upgrade"),
    *(b"accept-encoding: gzip;q=x", b"upgrade: h2c", b": empty", b"no colon"),
)


def right(columns: int) -> bytes:
    """A request that is answered with 200."""
    return post(json.dumps(request([0.5] * columns, columns)).encode())


def post(body: bytes, *headers: bytes, path: str = "/infer") -> bytes:
    lines = [b"POST %b HTTP/1.1" % path.encode(), b"host: a", *headers]
    if not any(it.startswith((b"content-length", b"transfer-")) for it in headers):
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def broken(seed: int, columns: int) -> Iterator[bytes]:
    """Requests of which almost all are wrong in one to a few ways."""
    source = random.Random(seed)
    kinds = (_bytes, _values, _values, _text, _headers, _path, _cut, _noise, _gzip)
    while True:
        yield source.choice(kinds)(source, columns)


def _bytes(source: random.Random, columns: int) -> bytes:
    """Some bytes changed, removed or doubled, anywhere in the body."""
    body = bytearray(json.dumps(request([1, 2, 3, 4] * 3, columns)).encode())
    for _ in range(source.randint(1, 4)):
        place, size = source.randrange(len(body)), source.randint(1, 20)
        action = source.randrange(3)
        if action == 0:
            body[place] = source.randrange(256)
        elif action == 1:
            del body[place : place + size]
            body = body or bytearray(b"x")
        else:
            body[place:place] = body[place : place + size]
    return post(bytes(body))


def _values(source: random.Random, columns: int) -> bytes:
    """Members replaced by values of other types, sizes and signs."""
    body: Any = request([1.0] * columns, columns)
    body |= {"id": "a", "outputs": [{"name": "label"}], "parameters": {}}
    tensor = body["inputs"][0]
    for _ in range(source.randint(1, 2)):
        kind = source.randrange(5)
        if kind == 0:
            tensor["shape"] = source.choices(SIZES, k=source.randint(0, 4))
        elif kind == 1:
            tensor["datatype"] = source.choice(DATATYPES)
        elif kind == 2:
            tensor["data"] = source.choices(VALUES, k=source.randint(0, 8))
        else:
            holder = source.choice([body, tensor])
            holder[source.choice([*holder, "x", ""])] = source.choice(VALUES)
    return post(json.dumps(body).encode())


def _text(source: random.Random, columns: int) -> bytes:
    """What is not JSON in place of a number, or lists nested without end."""
    values = [b"1"] * columns
    values[source.randrange(columns)] = source.choice(
        [*NOT_JSON, b"[" * source.choice([100, 5000]), b"9" * 4000]
    )
    text = b'{"inputs":[{"name":"X","shape":[1,%d],"datatype":"FP32","data":[%b]}]}'
    return post(text % (columns, b",".join(values)))


def _headers(source: random.Random, columns: int) -> bytes:
    body = right(columns).partition(b"\r\n\r\n")[2]
    return post(body, *source.sample(HEADERS, source.randint(1, 2)))


def _path(source: random.Random, columns: int) -> bytes:
    method = source.choice([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"BREW", b""])
    raw = right(columns).replace(b"/infer", source.choice(PATHS).encode(), 1)
    return raw.replace(b"POST", method, 1)


def _cut(source: random.Random, columns: int) -> bytes:
    raw = right(columns)
    return raw[: source.randrange(len(raw))]


def _noise(source: random.Random, columns: int) -> bytes:
    return source.randbytes(source.randint(1, 400))


def _gzip(source: random.Random, columns: int) -> bytes:
    """Compressed bodies: right, damaged, and ones that unpack beyond any limit."""
    body = right(columns).partition(b"\r\n\r\n")[2]
    packed = bytearray(gzip.compress(body if source.random() < 0.7 else bytes(2**21)))
    if source.random() < 0.7:
        packed[source.randrange(len(packed))] ^= 0xFF
    return post(bytes(packed), b"content-encoding: gzip")
