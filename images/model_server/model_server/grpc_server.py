"""The Open Inference Protocol over gRPC, in the event loop that serves HTTP.

A request takes the same way as over HTTP from the reading on: `Service.submit`, one
batch with what HTTP brings, the same counters, log, limits and drain. This module is
imported only where gRPC is switched on, for it takes memory (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

from model_server import __version__, grpc_codec
from model_server.batching import Job
from model_server.config import Config
from model_server.endpoint import Endpoint
from model_server.errors import RequestError, internal
from model_server.grpc_calls import GrpcCall
from model_server.grpc_codec import ModelInferRequest, check_id, parse
from model_server.grpc_health import INFERENCE_SERVICE, Health
from model_server.grpc_messages import HEALTH, message
from model_server.grpc_status import revision_block
from model_server.http2_connection import Http2Connection
from model_server.http2_headers import Head, literal
from model_server.http2_limits import Http2Limits
from model_server.http2_receiving import Http2Receiving
from model_server.logs import log_fault
from model_server.outputs import Outputs
from model_server.service import Service

MAX_STREAMS = 128
PING_SECONDS = 60.0
PING_TIMEOUT_SECONDS = 20.0
SETTLE_SECONDS = 2.0
"""Time that a shutdown waits for a client's acknowledgement."""
LEAST_PING_SECONDS = 5.0
"""Minimum interval of a client's pings, by the README. The usual 10 s may shrink in
transit; gRPC's own minimum is 5 minutes, and 2 hours without a call in progress."""
CHECK_SECONDS = 0.02
"""Interval at which a shutdown checks whether the last connection has ended."""
BACKLOG = 2048
TURNS = 5
"""Iterations of the event loop: accept, create the connection, read; and two to
spare."""

Method = Callable[[GrpcCall, bytes], None]

logger = logging.getLogger("model_server.grpc")


class GrpcServer:
    """Serves one service's models; make it in the event loop."""

    def __init__(self, service: Service, config: Config) -> None:
        self.service = service
        self.max_body_bytes = config.max_body_bytes
        self.max_calls = config.grpc_max_calls
        self.calls = 0
        self._address = (config.host, config.grpc_port)
        self._max_connections = config.max_connections
        self._connections: set[Http2Connection] = set()
        self._listener: asyncio.Server | None = None
        self._limits = Http2Limits(
            max_body_bytes=config.max_body_bytes,
            max_header_bytes=config.max_header_bytes,
            max_streams=MAX_STREAMS,
            request_timeout_seconds=config.request_timeout_seconds,
            idle_seconds=config.keepalive_seconds,
            least_ping_seconds=LEAST_PING_SECONDS,
            ping_seconds=PING_SECONDS,
            ping_timeout_seconds=PING_TIMEOUT_SECONDS,
            settle_seconds=SETTLE_SECONDS,
        )
        self._health = Health(service)
        self.methods = self._methods()

    async def start(self) -> None:
        """Listen; raise `OSError` where that is not possible."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._connection, host, port, family=family, backlog=BACKLOG
        )

    async def stop(self, seconds: float) -> None:
        """Take no more calls; cut off those that have not ended after the seconds.

        Earlier connections get GOAWAY, and requests that they sent before receiving it
        are answered.
        """
        end = time.monotonic() + seconds
        if seconds:
            for _ in range(TURNS):
                await asyncio.sleep(0)
        if self._listener is not None:
            self._listener.close()
        while self._connections and (left := end - time.monotonic()) > 0:
            for connection in list(self._connections):
                connection.leave()
            self.check(time.monotonic())
            await asyncio.sleep(min(CHECK_SECONDS, left))
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    def check(self, now: float) -> None:
        """End what takes clients too long, and tell watchers; call now and then."""
        self._health.update()
        for connection in list(self._connections):
            connection.check(now)

    def run(self, method: Method, call: GrpcCall, data: bytes) -> None:
        """Have a method answer a call; what it raises is the answer."""
        try:
            method(call, data)
        except RequestError as error:
            self.service.count_http_error(error.status)
            call.fail(error)
        except Exception as error:  # noqa: BLE001, it is logged
            log_fault(logger, "a call could not be answered", error)
            call.fail(internal())

    def _connection(self) -> asyncio.Protocol:
        if len(self._connections) >= self._max_connections:
            return _Refused()
        return Http2Connection(self._limits, self._opened, self._connections)

    def _opened(self, connection: Http2Receiving, number: int, head: Head) -> GrpcCall:
        return GrpcCall(self, connection, number, head)

    def _methods(self) -> dict[bytes, Method]:
        health = self._health
        found: dict[str, Method] = {
            f"/{INFERENCE_SERVICE}/ServerLive": self._server_live,
            f"/{INFERENCE_SERVICE}/ServerReady": self._server_ready,
            f"/{INFERENCE_SERVICE}/ServerMetadata": self._server_metadata,
            f"/{INFERENCE_SERVICE}/ModelReady": self._model_ready,
            f"/{INFERENCE_SERVICE}/ModelMetadata": self._model_metadata,
            f"/{INFERENCE_SERVICE}/ModelInfer": self._model_infer,
            f"/{HEALTH}.Health/Check": health.check,
            f"/{HEALTH}.Health/Watch": health.watch,
        }
        return {path.encode(): method for path, method in found.items()}

    def _server_live(self, call: GrpcCall, _: bytes) -> None:
        call.answer(_written("ServerLiveResponse", live=True))

    def _server_ready(self, call: GrpcCall, _: bytes) -> None:
        call.answer(_written("ServerReadyResponse", ready=self.service.is_ready))

    def _server_metadata(self, call: GrpcCall, _: bytes) -> None:
        call.answer(
            _written(
                "ServerMetadataResponse",
                name="slipway-model-server",
                version=__version__,
                extensions=[],
            )
        )

    def _model_ready(self, call: GrpcCall, data: bytes) -> None:
        asked = parse(message("ModelReadyRequest"), data)
        if self.service.models_by_path:
            self._find(asked.name, asked.version, call)
        call.answer(_written("ModelReadyResponse", ready=self.service.is_ready))

    def _model_metadata(self, call: GrpcCall, data: bytes) -> None:
        asked = parse(message("ModelMetadataRequest"), data)
        endpoint = self._find(asked.name, asked.version, call)
        content = endpoint.metadata()
        kept: dict[str, Any] = {
            key: content[key] for key in ("name", "versions", "platform")
        }
        manifest = endpoint.manifest
        for key, tensors in (
            ("inputs", manifest.inputs),
            ("outputs", manifest.outputs),
        ):
            # The message has no place for a tensor's settings.
            kept[key] = [
                {"name": it.name, "datatype": it.datatype, "shape": it.shape}
                for it in tensors
            ]
        call.answer(_written("ModelMetadataResponse", **kept))

    def _find(self, name: str, version: str, call: GrpcCall) -> Endpoint:
        if not self.service.models_by_path:
            raise RequestError(
                503,
                "not_ready",
                "the models are still loading; try again",
                headers=((b"retry-after", b"1"),),
            )
        revision = call.metadata(b"x-model-revision")
        return self.service.models.find(name, version, revision)

    def _model_infer(self, call: GrpcCall, data: bytes) -> None:
        service = self.service
        started = time.monotonic()
        request = parse(ModelInferRequest, data)
        endpoint = self._find(request.model_name, request.model_version, call)
        request_id = ""
        try:
            request_id = check_id(call.metadata(b"x-request-id"))
            deadline = call.deadline()
            inference = grpc_codec.read(request, endpoint)
        except RequestError as error:
            request_id = request_id or service.new_id()
            service.count_refused(
                endpoint, request_id=request_id, started_at=started, error=error
            )
            call.fail(error, request_id)
            return
        request_id = request_id or inference.id or service.new_id()

        def write(outputs: Outputs) -> None:
            written = grpc_codec.write(
                request,
                endpoint,
                request_id=inference.id or request_id,
                inference=inference,
                outputs=outputs,
            )
            name = literal(b"x-request-id", request_id.encode())
            call.answer(written, revision_block(endpoint.revision) + name)

        def done(_: Job, result: Outputs | RequestError) -> None:
            if isinstance(result, RequestError):
                call.fail(result, request_id)
            elif not call.is_answered:  # the client may have gone
                try:
                    write(result)
                except Exception:
                    call.fail(internal(), request_id)
                    raise

        service.submit(
            endpoint,
            inference=inference,
            request_id=request_id,
            done=done,
            started_at=started,
            deadline=deadline,
        )


class _Refused(asyncio.Protocol):
    """A connection beyond the most that may be open: it is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _written(kind: str, /, **fields: Any) -> bytes:
    data: bytes = message(kind)(**fields).SerializeToString()
    return data
