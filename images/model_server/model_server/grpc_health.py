"""gRPC's health service, as Kubernetes, Envoy and load balancers ask it."""

from __future__ import annotations

from model_server.errors import RequestError
from model_server.grpc_calls import GrpcCall
from model_server.grpc_codec import parse
from model_server.grpc_messages import HEALTH, INFERENCE, message
from model_server.grpc_status import Status
from model_server.service import Service

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
INFERENCE_SERVICE = f"{INFERENCE}.GRPCInferenceService"

Request = message("HealthCheckRequest", HEALTH)
Response = message("HealthCheckResponse", HEALTH)


class Health:
    """Health of the server as a whole, of the inference service and of each model."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._watched: dict[GrpcCall, tuple[str, int]] = {}
        """What each watcher asked about, and the last status that it got."""

    def status(self, name: str) -> int:
        """Return the status of a name: empty for the server, else as it is called."""
        known = name in {"", INFERENCE_SERVICE} or name in self._service.models.defaults
        if not known:
            return SERVICE_UNKNOWN
        return SERVING if self._service.is_ready else NOT_SERVING

    def check(self, call: GrpcCall, data: bytes) -> None:
        """Answer with the status of a name."""
        name = parse(Request, data).service
        status = self.status(name)
        if status == SERVICE_UNKNOWN:
            known = ", ".join(["''", INFERENCE_SERVICE, *self._service.models.defaults])
            raise RequestError(
                404, "not_found", f"no service {name[:128]!r} here; there is {known}"
            )
        call.answer(_response(status))

    def watch(self, call: GrpcCall, data: bytes) -> None:
        """Tell the status, and again whenever it changes."""
        try:
            name = parse(Request, data).service
        except RequestError as error:
            call.end(Status.INVALID_ARGUMENT, error.message)
            return
        status = self.status(name)
        self._watched[call] = name, status
        call.tell(_response(status), is_first=True)

    def update(self) -> None:
        """Send changes to the watchers; call now and then."""
        service = self._service
        is_over = service.is_draining and not service.is_ready
        for call, (name, last) in list(self._watched.items()):
            status = self.status(name)
            if call.is_answered:
                del self._watched[call]
                continue
            if status != last:
                self._watched[call] = name, status
                call.tell(_response(status), is_first=False)
            if is_over:  # or the drain would wait for the watcher
                del self._watched[call]
                call.finish()


def _response(status: int) -> bytes:
    data: bytes = Response(status=status).SerializeToString()
    return data
