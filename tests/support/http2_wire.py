"""A client of HTTP/2 that may send anything, beside a connection without a socket."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hpack import Decoder, Encoder

from tests.server.conftest import COLUMNS
from tests.support.grpc_calls import answer, request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
END_STREAM = ACKNOWLEDGED = 1
END_HEADERS = 4
CALL = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/inference.GRPCInferenceService/ModelInfer",
    ":authority": "127.0.0.1",
    "te": "trailers",
    "content-type": "application/grpc",
}


class Frame(NamedTuple):
    """One frame as it was received."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of RST_STREAM and GOAWAY."""
        start = 4 if self.kind == GOAWAY else 0
        return int.from_bytes(self.payload[start : start + 4])


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
    return head + payload


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def setting(name: int, value: int) -> bytes:
    return frame(SETTINGS, struct.pack(">HI", name, value))


def message(data: bytes, *, compressed: bool = False) -> bytes:
    """A gRPC message with its prefix."""
    return bytes((compressed,)) + number(len(data)) + data


def frames(data: bytes) -> Iterator[Frame]:
    while data:
        size = int.from_bytes(data[:3])
        stream = int.from_bytes(data[5:9])
        yield Frame(data[3], data[4], stream, data[9 : 9 + size])
        data = data[9 + size :]


class Transport(asyncio.Transport):
    """Keeps what is written; tells the protocol of its end as a socket's would."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.written = bytearray()
        self._protocol = protocol
        self._is_closing = False
        self.reads = True
        self.was_aborted = False

    def write(self, data: Any) -> None:
        assert not self._is_closing, "written after the end"
        self.written += data

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.was_aborted = True
        self.close()

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Client:
    """Feeds a server's connection with bytes and reads what it writes."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.connection = server._connection()
        self.transport = Transport(self.connection)
        self.encoder = Encoder()
        self._decoder = Decoder()
        self.connection.connection_made(self.transport)
        self.next_stream = 1

    def greet(self) -> Client:
        """Begin as every client does; return itself."""
        self.send(PREFACE + frame(SETTINGS))
        self.received()
        return self

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.connection.data_received(data)

    def head(
        self, others: Mapping[str, str | None] | None = None, **flags: bool
    ) -> int:
        """Begin a call; `others` are headers by name, None for one that is left out.

        `ended`: nothing follows the head.
        """
        fields: dict[str, str | None] = dict(CALL)
        fields.update(others or {})
        kept = [(name, value) for name, value in fields.items() if value is not None]
        return self.block(self.encoder.encode(kept), **flags)

    def block(self, block: bytes, *, ended: bool = False) -> int:
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.send(frame(HEADERS, block, END_HEADERS | ended, stream))
        return stream

    def data(self, stream: int, data: bytes, *, ended: bool = True) -> None:
        self.send(frame(DATA, data, ended, stream))

    def call(self, data: bytes) -> int:
        """Send a call whole."""
        stream = self.head()
        self.data(stream, message(data))
        return stream

    def received(self) -> list[Frame]:
        """The frames since the last time."""
        found = list(frames(bytes(self.transport.written)))
        self.transport.written.clear()
        return found

    def headers(self, found: list[Frame]) -> list[tuple[int, dict[str, str]]]:
        """The stream and headers of each head among frames, in order."""
        return [
            (it.stream, _fields(self._decoder.decode(it.payload)))
            for it in found
            if it.kind == HEADERS
        ]


async def grpc_server(models: Path, **settings: object) -> Any:
    """A server of gRPC with its models loaded, which listens nowhere."""
    from model_server.config import read
    from model_server.grpc_server import GrpcServer
    from model_server.service import Service

    values = {"MODELS": models, "PREDICTION_LOG": "", "GRPC_PORT": 1, **settings}
    config = read({f"MODEL_SERVER_{name}": str(it) for name, it in values.items()})
    service = Service(config, None)
    await service.load()
    return GrpcServer(service, config)


def _fields(headers: Any) -> dict[str, str]:
    return dict(headers)


async def settle(server: Any) -> None:
    """Until all requests have their answers, and the ends of connections are known."""
    while server.service.inflight:  # noqa: ASYNC110, the service tells nobody
        await asyncio.sleep(0.001)
    for _ in range(3):
        await asyncio.sleep(0)


def served(
    models: Path, run: Callable[[Client], Awaitable[None]], **settings: object
) -> Any:
    """Run against one connection that has begun; nothing may be left behind."""

    async def whole() -> Any:
        server = await grpc_server(models, **settings)
        client = Client(server).greet()
        await run(client)
        client.connection.abort()
        await settle(server)
        assert server.calls == 0
        assert server.service.buffered_bytes == 0
        assert server.service.inflight == 0
        assert not server._connections
        return server

    return asyncio.run(whole())


def goaways(client: Client) -> list[int]:
    return [it.code for it in client.received() if it.kind == GOAWAY]


async def assert_answers(client: Client) -> None:
    """One call is answered, and nothing else is said."""
    stream = client.call(request([[1.0] * COLUMNS]))
    await settle(client.server)
    found = client.received()
    heads = [it for it in client.headers(found) if it[0] == stream]
    assert heads[0][1] == {":status": "200", "content-type": "application/grpc"}
    assert heads[-1][1]["grpc-status"] == "0"
    body = b"".join(it.payload for it in found if it.kind == DATA)
    assert answer(body[5:]).model_name == "tiny"
