"""A port that hands bytes on to a server and keeps what its clients sent."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
JOIN_SECONDS = 5.0


class Tap:
    """Listens on loopback in front of a server's port; use it in a `with`."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._streams: list[bytearray] = []
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Closing alone does not wake the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):  # the other side has gone
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        for connection in self._connections:
            connection.close()

    def requests(self) -> list[tuple[str, bytes]]:
        """Head (lines ended by \\n, the port as PORT) and body of each, in order."""
        found = []
        for stream in self._streams:
            rest = bytes(stream)
            while rest:
                head, _, rest = rest.partition(b"\r\n\r\n")
                head += b"\r\n"
                if length := LENGTH.search(head):
                    size = int(length[1])
                elif CHUNKED.search(head):
                    size = rest.index(LAST_CHUNK) + len(LAST_CHUNK)
                else:
                    size = 0
                text = head.decode().replace("\r\n", "\n")
                found.append((text.replace(f":{self.port}\n", ":PORT\n"), rest[:size]))
                rest = rest[size:]
        return found

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            kept = bytearray()
            self._streams.append(kept)
            self._connections += [client, server]
            for pump in ((client, server, kept), (server, client, bytearray())):
                self._start(_pump, *pump)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()


def _pump(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    """Hand bytes on until one side is gone; then let the other know."""
    try:
        while data := source.recv(65536):
            kept += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        with suppress(OSError):  # it has gone, too
            target.shutdown(socket.SHUT_RDWR)
