"""Runs a program in a container of a pod, as `kubectl exec` does: over a WebSocket.

https://kubernetes.io/docs/reference/using-api/api-concepts/ and the package
k8s.io/client-go/tools/remotecommand (websocket.go) say how; RFC 6455 is the protocol.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpcore
import httpx

from slipway.cluster.kube_api import KubeApi, KubeApiError

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
"""The first is for Kubernetes 1.30 and later, the other for earlier versions."""
SILENCE_SECONDS = 120.0
"""Longest pause between two pieces of the program's output."""
READ_BYTES = 65_536
MESSAGE_BYTES = 1 << 24
"""A longer message is not a container's output."""
_STDOUT, _STDERR, _STATUS = 1, 2, 3
"""First byte of a message, its channel."""
_CONTINUED, _CLOSE, _PING, _PONG = 0, 8, 9, 10
_FINAL, _MASKED = 0x80, 0x80
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""


@dataclass(frozen=True)
class Done:
    """A program's output and exit status."""

    status: int
    output: bytes
    errors: str


def run(
    api: KubeApi,
    *,
    namespace: str,
    pod: str,
    container: str,
    command: Sequence[str],
) -> Done:
    """Runs the program to its end; KubeApiError if it cannot be started."""
    asked = [("container", container), ("stdout", "1"), ("stderr", "1")]
    asked += [("command", word) for word in command]
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(asked)}"
    key = base64.b64encode(os.urandom(16)).decode()
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": ", ".join(PROTOCOLS),
    }
    with api.stream(path, headers=headers) as response:
        place = f"{namespace}/{pod}, container {container}"
        if not _is_accepted(response, key):
            raise KubeApiError(
                f"{place}: the API server answers {response.status_code} to a "
                "WebSocket; a proxy between may not let them through"
            )
        return _collect(response.extensions["network_stream"], place)


def _is_accepted(response: httpx.Response, key: str) -> bool:
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    expected = base64.b64encode(digest).decode()
    return (
        response.status_code == httpx.codes.SWITCHING_PROTOCOLS
        and response.headers.get("sec-websocket-accept") == expected
    )


def _collect(stream: Any, place: str) -> Done:
    said: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: [], _STATUS: []}
    try:
        for message in _messages(stream):
            if message[:1] and message[0] in said:
                said[message[0]].append(message[1:])
    except (httpcore.NetworkError, httpcore.TimeoutException, EOFError) as error:
        raise KubeApiError(f"{place}: the connection broke ({error})") from None
    output, errors, status = (b"".join(said[it]) for it in said)
    return Done(_exit_status(status, place), output, errors.decode(errors="replace"))


def _exit_status(text: bytes, place: str) -> int:
    """The program's exit status from the Status object that ends its output."""
    try:
        status = json.loads(text)
    except ValueError:
        raise KubeApiError(
            f"{place}: the program's output ended without its exit status"
        ) from None
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise KubeApiError(f"{place}: {status.get('message') or 'it cannot be started'}")


def _messages(stream: Any) -> Iterator[bytes]:
    """Yield messages until the server closes; EOFError if it ends within one."""
    reader = _Reader(stream)
    message = b""
    while True:
        first, second = reader.take(2)
        operation, length = first & 0x0F, second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", reader.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", reader.take(8))
        if length + len(message) > MESSAGE_BYTES:
            raise EOFError(f"a message of {length + len(message)} bytes")
        content = reader.take(length)
        if operation == _CLOSE:
            return
        if operation == _PING:
            _send(stream, _PONG, content)
        elif operation != _PONG:
            message = message + content if operation == _CONTINUED else content
            if first & _FINAL:
                yield message
                message = b""


def _send(stream: Any, operation: int, content: bytes) -> None:
    """Send a short frame; a client's frames are masked."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(content))
    head = bytes((_FINAL | operation, _MASKED | len(content)))
    stream.write(head + mask + masked, SILENCE_SECONDS)


class _Reader:
    """Reads exact numbers of bytes from a stream."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._held = stream, bytearray()

    def take(self, count: int) -> bytes:
        while len(self._held) < count:
            piece = self._stream.read(READ_BYTES, SILENCE_SECONDS)
            if not piece:
                raise EOFError("it ended early")
            self._held += piece
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken
