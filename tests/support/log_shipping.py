"""Files of a prediction log, and a receiver with programmable faults."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from log_shipper import settings
from log_shipper.settings import Settings

MOMENT = 1_764_400_000
"""Unix time of files that are given an age."""


def finished(
    folder: Path, number: int, *, rows: int = 3, prefix: str = "predictions"
) -> Path:
    """A finished file, the older the smaller its number is."""
    path = folder / f"{prefix}-pod-1-20251129T070000-7-{number:06d}.jsonl"
    path.write_bytes(content(number, rows))
    _age(path, number)
    return path


def content(number: int, rows: int = 3) -> bytes:
    """Lines that name their file and row."""
    lines = [
        json.dumps({"id": f"{number}-{row}", "row": row, "score": row / 7}) + "\n"
        for row in range(rows)
    ]
    return "".join(lines).encode()


def noise(folder: Path, number: int, size: int) -> Path:
    """A finished file that no compression makes smaller."""
    path = finished(folder, number)
    path.write_bytes(random.Random(number).randbytes(size))
    _age(path, number)
    return path


def _age(path: Path, number: int) -> None:
    os.utime(path, (MOMENT + number, MOMENT + number))


def settings_of(folder: Path, sink: str, **more: object) -> Settings:
    """Settings that look and try again quickly."""
    variables: dict[str, object] = {
        "FOLDER": folder,
        "SINK": sink,
        "POLL_SECONDS": 0.01,
        "RETRY_SECONDS": 0.01,
        "RETRY_MAX_SECONDS": 0.05,
        "TIMEOUT_SECONDS": 5,
        "PORT": 0,
        "HOST": "127.0.0.1",
    }
    variables |= {name.upper(): value for name, value in more.items()}
    return settings.read(
        {f"LOG_SHIPPER_{name}": str(value) for name, value in variables.items()}
    )


def wait_until(holds: Callable[[], Any], seconds: float = 60) -> None:
    """Return when it holds; AssertionError if that takes too long."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@dataclass(frozen=True)
class Answer:
    """What the receiver does with one request."""

    status: int = 0
    """0: what a right receiver says."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    stores: bool = False
    reads: bool = True
    is_lost: bool = False
    """The connection is closed in place of an answer."""
    seconds: float = 0.0
    """Pause before the answer."""
    piece_seconds: float = 0.0
    """Pause after each 64 KiB of the request."""


RIGHT = Answer(stores=True)


@dataclass
class Receiver:
    """Stores whole files by name; `script` holds what it does first."""

    script: deque[Answer] = field(default_factory=deque)
    stored: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    """Of all answers; 0 for a lost one."""
    times: list[float] = field(default_factory=list)
    """Monotonic, of all requests."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers, whose names are in lower case."""
    cut_off: int = 0
    """Requests whose body was not whole."""
    token: str = ""
    port: int = 0

    def store(self, name: str, body: bytes) -> int:
        """What the contract says: 201, 200 if it is there, 409 if it differs."""
        if name not in self.stored:
            self.stored[name] = body
            return 201
        return 200 if self.stored[name] == body else 409


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_PUT(self) -> None:
        receiver = self.receiver
        receiver.times.append(time.monotonic())
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver.requests.append((self.path, headers))
        answer = receiver.script.popleft() if receiver.script else RIGHT
        body = self._body(answer) if answer.reads else b""
        if body is None:
            receiver.cut_off += 1
            self.close_connection = True
            return
        status = answer.status
        if receiver.token and headers.get("authorization") != receiver.token:
            status = 401
        elif answer.stores:
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            told = headers.get("content-digest", headers.get("x-amz-checksum-sha256"))
            assert told in {f"sha-256=:{digest}:", digest}
            name = self.path.rpartition("/")[2]
            status = status or receiver.store(name, body)
        time.sleep(answer.seconds)
        self.close_connection = True
        receiver.statuses.append(0 if answer.is_lost else status)
        if not answer.is_lost:
            self._say(status, answer)

    def _body(self, answer: Answer) -> bytes | None:
        left, pieces = int(self.headers["content-length"]), []
        while left:
            piece = self.rfile.read(min(left, 64 << 10))
            if not piece:
                return None
            pieces.append(piece)
            left -= len(piece)
            time.sleep(answer.piece_seconds)
        return b"".join(pieces)

    def _say(self, status: int, answer: Answer) -> None:
        content = answer.body.encode()
        self.send_response(status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is part of the test."""


@contextmanager
def receiver(
    *script: Answer,
    port: int = 0,
    tls: tuple[Path, Path] | None = None,
    buffer_bytes: int = 0,
) -> Iterator[Receiver]:
    """A receiver on loopback while the block runs.

    tls: certificate and key. buffer_bytes: what the kernel takes for it, if not as
    much as it likes.
    """
    kept = Receiver(deque(script))
    handler = type("Handler", (_Handler,), {"receiver": kept})
    server = _Server(("127.0.0.1", port), handler)
    kept.port = server.server_port
    if buffer_bytes:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
