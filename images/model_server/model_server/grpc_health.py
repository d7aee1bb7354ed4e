"""gRPC's health service, as Kubernetes, Envoy and load balancers ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from model_server.errors import RequestError
from model_server.grpc_codec import parse
from model_server.grpc_messages import HEALTH, INFERENCE, message
from model_server.service import Service

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
INFERENCE_SERVICE = f"{INFERENCE}.GRPCInferenceService"
WATCH_SECONDS = 0.25

Request = message("HealthCheckRequest", HEALTH)
Response = message("HealthCheckResponse", HEALTH)


class Health:
    """Tells of the server as a whole, of the inference service and of each model."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def status(self, name: str) -> int:
        """Return the status of a name: empty for the server, else as it is called."""
        known = name in {"", INFERENCE_SERVICE} or name in self._service.models.defaults
        if not known:
            return SERVICE_UNKNOWN
        return SERVING if self._service.is_ready else NOT_SERVING

    async def check(self, data: bytes, _: Any) -> bytes:
        name = parse(Request, data).service
        status = self.status(name)
        if status == SERVICE_UNKNOWN:
            known = ", ".join(["''", INFERENCE_SERVICE, *self._service.models.defaults])
            raise RequestError(
                404, "not_found", f"no service {name[:128]!r} here; there is {known}"
            )
        return _response(status)

    async def watch(self, data: bytes, context: Any) -> AsyncIterator[bytes]:
        """Give the status, and again whenever it changes."""
        try:
            name = parse(Request, data).service
        except RequestError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        last = -1
        while True:
            status = self.status(name)
            if status != last:
                yield _response(status)
                last = status
            if self._service.is_draining and not self._service.is_ready:
                return  # or the drain would wait for the watcher
            await asyncio.sleep(WATCH_SECONDS)


def _response(status: int) -> bytes:
    data: bytes = Response(status=status).SerializeToString()
    return data
