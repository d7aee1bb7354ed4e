"""Compressed requests and answers, and what claims to be compressed."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from tests.server.conftest import COLUMNS
from tests.support.model_server import ModelServer, request

BODY = json.dumps(request([1, 2, 3, 4], COLUMNS)).encode()
LARGE = json.dumps(request([1] * 1200, COLUMNS)).encode()


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("GZIP", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
    ],
)
def test_bodies_that_are_taken(
    server: ModelServer, coding: str, content: bytes
) -> None:
    answer = server.client.post(
        "/infer", content=content, headers={"content-encoding": coding}
    )
    assert answer.status_code == 200, answer.text


BROKEN = {
    "not gzip": BODY,
    "cut": gzip.compress(BODY, mtime=0)[:-4],
    "cut early": gzip.compress(BODY, mtime=0)[:12],
    "empty": b"",
    "two members": gzip.compress(BODY, mtime=0) * 2,
    "something after it": gzip.compress(BODY, mtime=0) + b"x",
    "a wrong checksum": gzip.compress(BODY, mtime=0)[:-8] + b"\0" * 8,
    "zlib": zlib.compress(BODY),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_bodies_that_are_not_gzip(server: ModelServer, content: bytes) -> None:
    answer = server.client.post(
        "/infer", content=content, headers={"content-encoding": "gzip"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_encoding")


def test_a_bomb_is_refused_before_it_grows(server: ModelServer) -> None:
    """50 MB of blanks in 50 kB: refused at the limit of bodies, 64 KiB."""
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 65536
    before = server.resident_bytes()
    for _ in range(20):
        answer = server.client.post(
            "/infer", content=bomb, headers={"content-encoding": "gzip"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert server.resident_bytes() - before < 5_000_000
    padded = gzip.compress(BODY.ljust(65536))
    answer = server.client.post(
        "/infer", content=padded, headers={"content-encoding": "gzip"}
    )
    assert answer.status_code == 200


def test_an_unknown_coding_names_the_known(server: ModelServer) -> None:
    answer = server.client.post(
        "/infer", content=BODY, headers={"content-encoding": "br"}
    )
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate"


def exchange(server: ModelServer, path: str, accept: str, body: bytes) -> Any:
    method = "POST" if body else "GET"
    raw = f"{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
    raw += f"accept-encoding: {accept}\r\n" if accept else ""
    answer = server.exchange(
        f"{raw}content-length: {len(body)}\r\n\r\n".encode() + body
    )
    head, _, content = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().splitlines()[1:]
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["content-length"]) == len(content)
    return headers.get("content-encoding", ""), content


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("gzip;q=0", ""),
        ("gzip;q=x", ""),
        ("br", ""),
        ("identity", ""),
        ("", ""),
    ],
)
def test_large_answers_come_as_accepted(
    server: ModelServer, accept: str, coding: str
) -> None:
    inflate = {"gzip": gzip.decompress, "deflate": zlib.decompress, "": bytes}[coding]
    for path, body in (("/infer", LARGE), ("/openapi.json", b"")):
        found, content = exchange(server, path, accept, body)
        assert found == coding
        document = json.loads(inflate(content))
        assert document.get("openapi") or document["outputs"][0]["shape"] == [300]
        if coding:
            assert len(content) < len(inflate(content)) / 2


def test_small_answers_are_left_alone(server: ModelServer) -> None:
    for path, body in (("/infer", BODY), ("/infer", b"{}"), ("/v2", b"")):
        assert exchange(server, path, "gzip", body)[0] == ""


def test_an_answer_that_a_thread_compresses(
    models: Any, log_folder: Any, tiny: Any
) -> None:
    """Above 64 KiB, on a server that takes as many rows, and in the right order."""
    rows = [round(float(value), 3) for value in tiny.rows.ravel()] * 10
    large = json.dumps(request(rows, COLUMNS)).encode()
    with ModelServer(
        models, log_folder, MAX_REQUEST_ROWS=4096, MAX_QUEUE_ROWS=8192
    ) as server:
        form = b"POST /infer HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n"
        one = form + b"content-length: %d\r\n\r\n%b"
        last = form + b"connection: close\r\ncontent-length: %d\r\n\r\n%b"
        answers = server.exchange(one % (len(large), large) + last % (len(BODY), BODY))
        first, _, rest = answers.partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in first
        stream = zlib.decompressobj(31)
        outputs = json.loads(stream.decompress(rest))["outputs"]
        assert outputs[0]["shape"] == [4000]
        assert stream.unused_data.startswith(b"HTTP/1.1 200 OK")
