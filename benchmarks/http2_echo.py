"""A server of one gRPC method with a fixed answer, on a stack of HTTP/2.

    python -m benchmarks.http2_echo STACK PORT

Each answers what `benchmarks.http2_stacks` compares: nothing of a model, so that what
is left is the stack. `grpc.aio` and `ours` need this project's environment, the others
that of requirements-http2.txt.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvloop

METHOD = "/inference.GRPCInferenceService/ModelInfer"
ANSWER = b"\x0a\x04tiny\x12\x011" + b"\x3a\x50" + bytes(80)
MESSAGE = b"\0" + len(ANSWER).to_bytes(4, "big") + ANSWER
HEAD = [(b"content-type", b"application/grpc")]
TRAILERS = [
    (b"grpc-status", b"0"),
    (b"x-model-revision", b"sha256:0123456789abcdef"),
    (b"x-request-id", b"0123456789abcdef-1"),
]
HOST = "127.0.0.1"


async def _listen(protocol: Callable[[], asyncio.Protocol], port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, HOST, port)
    await server.serve_forever()


async def grpc_aio(port: int) -> None:
    """Run grpcio's asynchronous server, as this server did until November 2026."""
    import grpc
    import grpc.aio

    async def answer(_: bytes, __: Any) -> bytes:
        return ANSWER

    handler = grpc.unary_unary_rpc_method_handler(answer)

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, _: Any) -> Any:
            return handler

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Handlers()])
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await server.wait_for_termination()


async def ours(port: int) -> None:
    """Run the model server's own frames."""
    sys.path.append(str(Path(__file__).parents[1] / "images/model_server"))
    from model_server.grpc_status import HEAD as OUR_HEAD
    from model_server.http2_connection import Http2Connection
    from model_server.http2_headers import literal
    from model_server.http2_limits import Http2Limits
    from model_server.http2_stream import Stream

    trailers = b"".join(literal(name, value) for name, value in TRAILERS)

    class Call(Stream):
        __slots__ = ()

        def received(self, data: bytes) -> None:  # noqa: ARG002
            self.connection.send(self, OUR_HEAD, MESSAGE, trailers)

    limits = Http2Limits(
        max_body_bytes=2**20,
        max_header_bytes=16384,
        max_streams=128,
        request_timeout_seconds=10,
        idle_seconds=3600,
        least_ping_seconds=5,
        ping_seconds=60,
        ping_timeout_seconds=20,
        settle_seconds=2,
    )
    connections: set[Http2Connection] = set()
    await _listen(lambda: Http2Connection(limits, Call, connections), port)


async def h2(port: int, library: str = "h2") -> None:
    """Run h2's connection, or that of jh2, which has the same interface."""
    events = importlib.import_module(f"{library}.events")
    connection = importlib.import_module(f"{library}.connection").H2Connection
    configuration = importlib.import_module(f"{library}.config").H2Configuration

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self._transport = transport
            self._state = connection(configuration(client_side=False))
            self._state.initiate_connection()
            self._transport.write(self._state.data_to_send())

        def data_received(self, data: bytes) -> None:
            state = self._state
            for event in state.receive_data(data):
                if isinstance(event, events.DataReceived):
                    state.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                elif isinstance(event, events.StreamEnded):
                    stream = event.stream_id
                    state.send_headers(stream, [(b":status", b"200"), *HEAD])
                    state.send_data(stream, MESSAGE)
                    state.send_headers(stream, TRAILERS, end_stream=True)
            if out := state.data_to_send():
                self._transport.write(out)

    await _listen(Protocol, port)


async def jh2(port: int) -> None:
    """Run jh2: h2 with frames and headers in Rust."""
    await h2(port, "jh2")


async def grpclib(port: int) -> None:
    """Run grpclib, gRPC for asyncio on h2."""
    server_module: Any = importlib.import_module("grpclib.server")
    const: Any = importlib.import_module("grpclib.const")
    base: Any = importlib.import_module("grpclib.encoding.base")

    class Codec(base.CodecBase):  # type: ignore[misc]
        __content_subtype__ = "proto"

        def encode(self, message: bytes, _: Any) -> bytes:
            return message

        def decode(self, data: bytes, _: Any) -> bytes:
            return data

    class Methods:
        async def answer(self, stream: Any) -> None:
            await stream.recv_message()
            await stream.send_message(ANSWER)

        def __mapping__(self) -> dict[str, Any]:
            unary = const.Cardinality.UNARY_UNARY
            return {METHOD: const.Handler(self.answer, unary, bytes, bytes)}

    server = server_module.Server([Methods()], codec=Codec())
    await server.start(HOST, port)
    await server.wait_closed()


Message = MutableMapping[str, Any]


async def _asgi(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": HEAD,
            "trailers": True,
        }
    )
    await send({"type": "http.response.body", "body": MESSAGE})
    await send({"type": "http.response.trailers", "headers": TRAILERS})


async def h2corn(port: int) -> None:
    """Run h2corn, an ASGI server in Rust with HTTP/2 and trailers."""
    module: Any = importlib.import_module("h2corn")
    config = module.Config(bind=(f"{HOST}:{port}",), grpc=True, access_log=False)
    await module.Server(_asgi, config).serve()


async def hypercorn(port: int) -> None:
    """Run Hypercorn, an ASGI server on h2."""
    serve: Any = importlib.import_module("hypercorn.asyncio").serve
    config: Any = importlib.import_module("hypercorn.config").Config()
    config.bind = [f"{HOST}:{port}"]
    await serve(_asgi, config)


async def httpunk(port: int) -> None:
    """Run httpunk: HTTP/2 of Rust's hyper behind protocols of asyncio."""
    module: Any = importlib.import_module("httpunk.asyncio")

    class Protocol(module.H2ServerProtocol):  # type: ignore[misc]
        async def handle(self, request: Any) -> None:
            await request.read()
            await request.respond(200, headers=HEAD, body=MESSAGE, trailers=TRAILERS)

    await _listen(Protocol, port)


STACKS: dict[str, Callable[[int], Awaitable[None]]] = {
    "ours": ours,
    "grpc.aio": grpc_aio,
    "h2corn": h2corn,
    "httpunk": httpunk,
    "jh2": jh2,
    "h2": h2,
    "grpclib": grpclib,
    "hypercorn": hypercorn,
}


async def _main() -> None:
    await STACKS[sys.argv[1]](int(sys.argv[2]))


if __name__ == "__main__":
    uvloop.run(_main())
