"""What requests that reach no model get: health, metadata, metrics, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from model_server import __version__
from model_server.endpoint import Endpoint
from model_server.errors import RequestError
from model_server.http import CLOSE, JSON, Answer, Fields, Headers, request_id_of
from model_server.metrics import Exposition, add_models
from model_server.process import add_process
from model_server.service import Service

PLAIN = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


@dataclass(frozen=True)
class Page:
    """What a GET gives."""

    status: int
    body: bytes
    content_type: tuple[bytes, bytes] = JSON


class Pages:
    """Answers by path, for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._fixed: dict[str, Callable[[], Page]] = {
            "/healthz": self._live,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
        }

    def answer(self, method: str, path: str, fields: Fields) -> Answer:
        """Return the answer to a request that is no inference."""
        service = self._service
        headers: Headers = []
        request_id = ""
        try:
            request_id = request_id_of(fields)
            page = self._find(method, path)
        except RequestError as error:
            request_id = request_id or service.new_id()
            page = Page(error.status, error.body(request_id))
            headers += error.headers
            service.count_http_error(error.status)
        headers.append(page.content_type)
        if request_id:
            headers.append((b"x-request-id", request_id.encode()))
        headers.append((b"content-length", b"%d" % len(page.body)))
        if service.is_draining:
            headers.append(CLOSE)
        return page.status, headers, page.body

    def _find(self, method: str, path: str) -> Page:
        make = self._fixed.get(path) or self._of_model(path)
        allow = "GET, HEAD" if make else "POST"
        if make is None and path not in self._service.models_by_path:
            raise self._missing(path)
        if make is None or method not in {"GET", "HEAD"}:
            raise RequestError(
                405,
                "method_not_allowed",
                f"{method} is not for {path[:128]}; use {allow}",
                headers=((b"allow", allow.encode()),),
            )
        return make()

    def _of_model(self, path: str) -> Callable[[], Page] | None:
        """Return what makes a model's metadata or readiness, if the path is such."""
        parts = path.split("/", 4)
        if len(parts) < 4 or parts[1:3] != ["v2", "models"]:
            return None
        endpoint = self._service.endpoints.get(parts[3])
        if endpoint is None:
            return None
        if path in endpoint.paths:
            return lambda: Page(200, orjson.dumps(endpoint.metadata()))
        if path.removesuffix("/ready") in endpoint.paths:
            return lambda: self._model_ready(endpoint)
        return None

    def _missing(self, path: str) -> RequestError:
        """Return the error that tells best why nothing is at a path."""
        endpoints = self._service.endpoints
        parts = path.split("/")
        is_of_model = len(parts) > 3 and parts[1:3] == ["v2", "models"]
        if not self._service.models_by_path and (is_of_model or path == "/infer"):
            return RequestError(
                503,
                "not_ready",
                "the models are still loading; try again",
                headers=((b"retry-after", b"1"),),
            )
        if path == "/infer":
            return RequestError(
                404,
                "unknown_model",
                "several models are served here; name one: "
                + ", ".join(f"/v2/models/{name}/infer" for name in endpoints),
            )
        if is_of_model and parts[3] not in endpoints:
            return RequestError(
                404,
                "unknown_model",
                f"no model {parts[3][:128]!r} here; there is {', '.join(endpoints)}",
            )
        if is_of_model and len(parts) > 5 and parts[4] == "versions":
            version = endpoints[parts[3]].manifest.version
            if parts[5] != version:
                return RequestError(
                    404,
                    "unknown_version",
                    f"{parts[3]} has no version {parts[5][:128]!r} here; there is "
                    f"{version}",
                )
        return RequestError(
            404, "not_found", f"nothing at {path[:128]!r}; GET /v2 tells what is here"
        )

    def _live(self) -> Page:
        return Page(200, b'{"live":true}')

    def _ready(self) -> Page:
        if self._service.is_ready:
            return Page(200, b'{"ready":true}')
        why = b"draining" if self._service.is_draining else b"loading"
        return Page(503, b'{"ready":false,"reason":"%b"}' % why)

    def _model_ready(self, endpoint: Endpoint) -> Page:
        if not self._service.is_ready:
            return self._ready()
        return Page(200, orjson.dumps({"name": endpoint.manifest.name, "ready": True}))

    def _server(self) -> Page:
        content = {
            "name": "slipway-model-server",
            "version": __version__,
            "extensions": [],
            "models": list(self._service.endpoints),
        }
        return Page(200, orjson.dumps(content))

    def _metrics(self) -> Page:
        service = self._service
        text = Exposition()
        add_models(text, [item.metrics for item in service.endpoints.values()])
        name = "model_server_http_errors_total"
        text.family(
            name,
            "counter",
            "Requests that reached no model and were answered with an error.",
            [
                (name, {"status": str(status)}, count)
                for status, count in service.http_errors.items()
            ],
        )
        text.plain(
            "model_server_connections",
            "gauge",
            "Open connections.",
            service.count_connections(),
        )
        if service.log:
            service.log.add_metrics(text)
        add_process(text)
        return Page(200, text.text(), PLAIN)
