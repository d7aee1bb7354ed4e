"""The Open Inference Protocol over gRPC, in the event loop that serves HTTP.

A request takes the same way as over HTTP from the reading on: `Service.submit`, one
batch with what HTTP brings, the same counters, log, limits and drain. This module is
imported only where gRPC is switched on, for it takes memory (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from typing import Any

# Its C core would write lines of its own beside our JSON lines; what matters of them
# comes as a status too.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio

from model_server import __version__, grpc_codec
from model_server.batching import Job
from model_server.config import Config
from model_server.endpoint import Endpoint
from model_server.errors import RequestError, internal
from model_server.grpc_calls import Calls
from model_server.grpc_codec import ModelInferRequest, check_id, parse
from model_server.grpc_health import INFERENCE_SERVICE, Health
from model_server.grpc_messages import HEALTH, message
from model_server.grpc_status import metadata_of, status_of
from model_server.logs import log_fault
from model_server.outputs import Outputs
from model_server.protocol import Inference
from model_server.service import Service

MAX_STREAMS = 128
PING_SECONDS = 60
SETTLE_SECONDS = 2.0
"""How long a stop waits for a moment without new calls."""
LEAST_PING_SECONDS = 5.0
"""How far apart a client's pings must be, by the README. The usual 10 s may shrink on
their way; gRPC's own least is 5 minutes, and 2 hours where no call is under way."""

logger = logging.getLogger("model_server.grpc")


def is_of_the_server(record: logging.LogRecord) -> bool:
    """Tell whether a line of gRPC's is about more than a caller who has gone.

    Where a call is given up while its answer is sent, gRPC logs an error with a
    traceback: a caller could fill the log.
    """
    return not record.getMessage().startswith("ExecuteBatchError raised in core")


logging.getLogger("grpc._cython.cygrpc").addFilter(is_of_the_server)


class GrpcServer:
    """Serves one service's models; make it in the event loop."""

    def __init__(self, service: Service, config: Config) -> None:
        self._service = service
        self._address = (config.host, config.grpc_port)
        self._calls = Calls(config.request_timeout_seconds)
        self._server = grpc.aio.server(
            options=_options(config), maximum_concurrent_rpcs=config.grpc_max_calls
        )
        self._server.add_generic_rpc_handlers([_Handlers(self._methods())])

    async def start(self) -> None:
        """Listen; raise `OSError` where that is not possible."""
        host, port = self._address
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(str(error)) from None
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Take no more calls; cut off those that have not ended after the seconds.

        gRPC cancels the calls that it has received and not yet handed over, so those
        are taken first, in the same time.
        """
        end = time.monotonic() + seconds
        if seconds:
            await self._calls.are_all_taken(min(SETTLE_SECONDS, seconds))
        await self._server.stop(max(0.0, end - time.monotonic()))

    def check(self, now: float) -> None:
        """End calls whose clients take too long; call now and then."""
        self._calls.check(now)

    def _methods(self) -> dict[str, Any]:
        health = Health(self._service)
        one = {
            f"/{INFERENCE_SERVICE}/ServerLive": self._server_live,
            f"/{INFERENCE_SERVICE}/ServerReady": self._server_ready,
            f"/{INFERENCE_SERVICE}/ServerMetadata": self._server_metadata,
            f"/{INFERENCE_SERVICE}/ModelReady": self._model_ready,
            f"/{INFERENCE_SERVICE}/ModelMetadata": self._model_metadata,
            f"/{INFERENCE_SERVICE}/ModelInfer": self._model_infer,
            f"/{HEALTH}.Health/Check": health.check,
        }
        methods = {
            name: self._calls.handler(self._answering(method))
            for name, method in one.items()
        }
        methods[f"/{HEALTH}.Health/Watch"] = grpc.unary_stream_rpc_method_handler(
            health.watch
        )
        return methods

    def _answering(self, method: Any) -> Any:
        """Return a method of which `RequestError` comes as a status."""

        async def run(data: bytes, context: Any) -> bytes:
            try:
                answer: bytes = await method(data, context)
            except grpc.aio.BaseError:
                raise
            except RequestError as error:
                self._service.count_http_error(error.status)
                await _abort(context, error)
            except Exception as error:  # noqa: BLE001, it is logged
                log_fault(logger, "a call could not be answered", error)
                await _abort(context, internal())
            return answer

        return run

    async def _server_live(self, _: bytes, __: Any) -> bytes:
        return _written("ServerLiveResponse", live=True)

    async def _server_ready(self, _: bytes, __: Any) -> bytes:
        return _written("ServerReadyResponse", ready=self._service.is_ready)

    async def _server_metadata(self, _: bytes, __: Any) -> bytes:
        return _written(
            "ServerMetadataResponse",
            name="slipway-model-server",
            version=__version__,
            extensions=[],
        )

    async def _model_ready(self, data: bytes, context: Any) -> bytes:
        asked = parse(message("ModelReadyRequest"), data)
        if self._service.models_by_path:
            self._find(asked.name, asked.version, context)
        return _written("ModelReadyResponse", ready=self._service.is_ready)

    async def _model_metadata(self, data: bytes, context: Any) -> bytes:
        asked = parse(message("ModelMetadataRequest"), data)
        endpoint = self._find(asked.name, asked.version, context)
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
        return _written("ModelMetadataResponse", **kept)

    def _find(self, name: str, version: str, context: Any) -> Endpoint:
        if not self._service.models_by_path:
            raise RequestError(
                503,
                "not_ready",
                "the models are still loading; try again",
                headers=((b"retry-after", b"1"),),
            )
        revision = _metadata(context, "x-model-revision")
        return self._service.models.find(name, version, revision)

    async def _model_infer(self, data: bytes, context: Any) -> bytes:
        service = self._service
        started = time.monotonic()
        request = parse(ModelInferRequest, data)
        endpoint = self._find(request.model_name, request.model_version, context)
        request_id = ""
        try:
            request_id = check_id(_metadata(context, "x-request-id"))
            inference = grpc_codec.read(request, endpoint)
        except RequestError as error:
            request_id = request_id or service.new_id()
            service.count_refused(
                endpoint, request_id=request_id, started_at=started, error=error
            )
            await _abort(context, error, request_id)
        request_id = request_id or inference.id or service.new_id()
        result = await self._submit(endpoint, inference, request_id, started, context)
        if isinstance(result, RequestError):
            await _abort(context, result, request_id)
        context.set_trailing_metadata(
            (("x-request-id", request_id), ("x-model-revision", endpoint.revision))
        )
        return grpc_codec.write(
            request,
            endpoint,
            request_id=inference.id or request_id,
            inference=inference,
            outputs=result,
        )

    async def _submit(
        self,
        endpoint: Endpoint,
        inference: Inference,
        request_id: str,
        started: float,
        context: Any,
    ) -> Any:
        """Return the outputs of a request, or its error."""
        remaining = context.time_remaining()
        future = asyncio.get_running_loop().create_future()

        def done(_: Job, result: Outputs | RequestError) -> None:
            if not future.done():  # the client may have gone
                future.set_result(result)

        self._service.submit(
            endpoint,
            inference=inference,
            request_id=request_id,
            done=done,
            started_at=started,
            deadline=None if remaining is None else started + remaining,
        )
        return await future


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the method of a call."""

    def __init__(self, methods: dict[str, Any]) -> None:
        self._methods = methods

    def service(self, handler_call_details: Any) -> Any:
        return self._methods.get(handler_call_details.method)


def _options(config: Config) -> Sequence[tuple[str, int]]:
    return (
        ("grpc.max_receive_message_length", config.max_body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", config.max_header_bytes),
        ("grpc.absolute_max_metadata_size", config.max_header_bytes),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        # One too many is closed at once; HTTP's connections are counted apart.
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        ("grpc.max_connection_idle_ms", int(config.keepalive_seconds) * 1000),
        ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            int(LEAST_PING_SECONDS * 1000),
        ),
        ("grpc.so_reuseport", 0),
        ("grpc.enable_http_proxy", 0),
    )


def _metadata(context: Any, key: str) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == key:
            return value if isinstance(value, str) else ""
    return ""


def _written(kind: str, /, **fields: Any) -> bytes:
    data: bytes = message(kind)(**fields).SerializeToString()
    return data


async def _abort(context: Any, error: RequestError, request_id: str = "") -> None:
    """End a call with an error; this raises always."""
    await context.abort(status_of(error), error.message, metadata_of(error, request_id))
