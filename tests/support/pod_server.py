"""An API server's logs and exec of pods, over HTTP and WebSockets on loopback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx

from slipway.cluster.kube_api import KubeApi

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SUCCESS = {"status": "Success"}
Answer = tuple[int, bytes, bytes]
"""Exit status, standard output, standard error."""


def frame(content: bytes, operation: int = 2, *, final: bool = True) -> bytes:
    """A frame of a server, which masks nothing (RFC 6455, section 5.2)."""
    length = len(content)
    head = bytes([(0x80 if final else 0) | operation])
    if length < 126:
        head += bytes([length])
    elif length < 1 << 16:
        head += bytes([126]) + struct.pack("!H", length)
    else:
        head += bytes([127]) + struct.pack("!Q", length)
    return head + content


def ended(status: int) -> dict[str, Any]:
    """The Status object with which an exec ends."""
    if not status:
        return SUCCESS
    causes = [{"reason": "ExitCode", "message": str(status)}]
    return {
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with exit code {status}",
        "details": {"causes": causes},
    }


def output(answer: Answer) -> bytes:
    status, out, err = answer
    frames = [frame(b"\x01" + out)] if out else []
    frames += [frame(b"\x02" + err)] if err else []
    frames.append(frame(b"\x03" + json.dumps(ended(status)).encode()))
    return b"".join(frames) + frame(struct.pack("!H", 1000), 8)


@dataclass
class PodServer:
    """Lists by path, logs by (pod, container, previous), and what exec answers."""

    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    logs: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    """Status of what this server refuses, by path."""
    reason: str = "refused by the test"
    """What it then says."""
    run: Callable[[Sequence[str]], Answer] = lambda _: (0, b"", b"")
    raw: bytes | None = None
    """What an exec's connection gets instead of an answer."""
    asked: list[str] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    """What clients wrote into an exec's connection."""
    has_ended: Event = field(default_factory=Event)
    """Whether an exec's connection was closed by its client: all is received."""

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"pods": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def api(self) -> KubeApi:
        host, port = self._server.server_address[:2]
        return KubeApi(httpx.Client(base_url=f"http://{host!s}:{port}", timeout=10))


class _Handler(BaseHTTPRequestHandler):
    pods: PodServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.pods.asked.append(self.path)
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if status := self.pods.refused.get(url.path):
            self._json(status, {"kind": "Status", "message": self.pods.reason})
        elif url.path.endswith("/exec"):
            self._exec(query["command"])
        elif url.path.endswith("/log"):
            self._log(url.path.split("/")[-2], query)
        else:
            found = self.pods.lists.get(self.path) or self.pods.lists.get(url.path)
            self._json(200, {"items": found or []})

    def _json(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, json.dumps(content).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _log(self, pod: str, query: dict[str, list[str]]) -> None:
        key = (pod, query["container"][0], "previous" in query)
        if key not in self.pods.logs:
            self._json(400, {"message": f"previous terminated container {key[1]}"})
            return
        self._send(200, self.pods.logs[key].encode())

    def _exec(self, command: Sequence[str]) -> None:
        key = self.headers["Sec-WebSocket-Key"]
        digest = hashlib.sha1((key + GUID).encode()).digest()
        offered = self.headers["Sec-WebSocket-Protocol"].split(", ")
        assert self.headers["Upgrade"] == "websocket"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.send_header("Sec-WebSocket-Protocol", offered[0])
        self.end_headers()
        raw = self.pods.raw
        self.wfile.write(output(self.pods.run(command)) if raw is None else raw)
        self.wfile.flush()
        self.close_connection = True
        self.connection.settimeout(10)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while piece := self.connection.recv(4096):
                self.pods.received.append(piece)
        self.pods.has_ended.set()
