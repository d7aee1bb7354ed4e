"""Responses to requests without a model: health, metadata, metrics, errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from model_server import __version__, openapi, predict_pages
from model_server.compression import LEAST_BYTES, accepted, encode
from model_server.endpoint import Endpoint
from model_server.errors import RequestError
from model_server.http import CLOSE, JSON, Answer, Fields, Headers, request_id_of
from model_server.metrics import Exposition, add_models
from model_server.process import add_process
from model_server.service import Service

MODEL_PATH = re.compile(r"/v2/models/([^/]*)(?:/versions/([^/]*))?(/.*)?")
PLAIN = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


@dataclass(frozen=True)
class Page:
    """Content of a response to GET."""

    status: int
    body: bytes
    content_type: tuple[bytes, bytes] = JSON


class Pages:
    """Answers by path, for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._documents: dict[str, bytes] = {}
        self._fixed: dict[str, Callable[[], Page]] = {
            "/healthz": self._live,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
        }

    def answer(self, method: str, path: str, fields: Fields) -> Answer:
        """Return the answer to a request that is not an inference."""
        service = self._service
        headers: Headers = []
        request_id = ""
        try:
            request_id = request_id_of(fields)
            page = self._find(method, path, fields)
        except RequestError as error:
            request_id = request_id or service.new_id()
            is_plain = path.startswith(predict_pages.PREFIX)
            body = error.plain_body() if is_plain else error.body(request_id)
            page = Page(error.status, body)
            headers += error.headers
            service.count_http_error(error.status)
        headers.append(page.content_type)
        if request_id:
            headers.append((b"x-request-id", request_id.encode()))
        headers.append((b"content-length", b"%d" % len(page.body)))
        if service.is_draining:
            headers.append(CLOSE)
        coding = accepted(fields.get(b"accept-encoding", b""))
        if coding and len(page.body) >= LEAST_BYTES:
            return page.status, *encode(headers, page.body, coding)
        return page.status, headers, page.body

    def _find(self, method: str, path: str, fields: Fields) -> Page:
        make = self._fixed.get(path)
        allow = "GET, HEAD"
        if make is None:
            if path in self._service.models_by_path:
                if method == "POST":
                    # The models have come since its way was chosen, in another thread.
                    raise _still_loading()
                allow = "POST"
            else:
                make = self._of_model(path, fields)
        if make is None or method not in {"GET", "HEAD"}:
            raise RequestError(
                405,
                "method_not_allowed",
                f"{method} is not for {path[:128]}; use {allow}",
                headers=((b"allow", allow.encode()),),
            )
        return make()

    def _of_model(self, path: str, fields: Fields) -> Callable[[], Page]:
        """Return what makes a page of a model, or raise why there is none."""
        service = self._service
        match = MODEL_PATH.fullmatch(path)
        is_predict = path.startswith(predict_pages.PREFIX)
        if not service.models_by_path and (match or is_predict or path == "/infer"):
            raise _still_loading()
        if is_predict and service.models.has_saved_models:
            return self._of_saved_model(path, fields)
        if path == "/infer":
            raise RequestError(
                404,
                "unknown_model",
                "several models are served here; name one: "
                + ", ".join(
                    f"/v2/models/{name}/infer" for name in service.models.defaults
                ),
            )
        if match:
            name, version, rest = match.groups("")
            endpoint = service.models.find(name, version)
            endpoint = endpoint.of_request(fields)
            if not rest:
                return lambda: Page(200, orjson.dumps(endpoint.metadata()))
            if rest == "/ready":
                return lambda: self._model_ready(endpoint)
            if rest == "/openapi.json":
                endpoints = endpoint.by_revision.values()
                return lambda: self._document(path, endpoints, {})
        raise RequestError(
            404, "not_found", f"nothing at {path[:128]!r}; GET /v2 lists what is here"
        )

    def _of_saved_model(self, path: str, fields: Fields) -> Callable[[], Page]:
        """Return what makes a page of TensorFlow Serving's REST."""
        match = predict_pages.PATH.fullmatch(path)
        if match is None:
            raise RequestError(
                404,
                "not_found",
                f"nothing at {path[:128]!r}; of TensorFlow Serving's REST there are "
                "MODEL:predict, MODEL/versions/VERSION:predict, and GET for both "
                "without :predict, also with /metadata",
            )
        name, version, rest = match.groups("")
        endpoint = self._service.models.find(name, version).of_request(fields)
        endpoint.predicting()
        if rest:
            return lambda: Page(200, orjson.dumps(predict_pages.metadata(endpoint)))
        is_ready = self._service.is_ready
        versions = endpoint.by_revision.values()
        state = predict_pages.status(versions, is_ready=is_ready)
        return lambda: Page(200, orjson.dumps(state))

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
            "extensions": ["binary_tensor_data"],
            "models": list(self._service.models.defaults),
        }
        return Page(200, orjson.dumps(content))

    def _openapi(self) -> Page:
        if not self._service.models_by_path:
            raise _still_loading()
        return self._document("/openapi.json", self._service.models, openapi.pages())

    def _document(
        self, path: str, endpoints: Iterable[Endpoint], pages: dict[str, Any]
    ) -> Page:
        """Return the document at a path; each is made once, when first asked for."""
        if path not in self._documents:
            found = openapi.document(endpoints, self._service.models_by_path, pages)
            # Relative, since a gateway may have taken a prefix off the path.
            found["servers"] = [{"url": "../" * (path.count("/") - 1) or "./"}]
            self._documents[path] = orjson.dumps(found)
        return Page(200, self._documents[path])

    def _metrics(self) -> Page:
        service = self._service
        text = Exposition()
        served = [item.metrics for item in service.models]
        add_models(text, [*served, *service.models.refused_metrics])
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


def _still_loading() -> RequestError:
    return RequestError(
        503,
        "not_ready",
        "the models are still loading; try again",
        headers=((b"retry-after", b"1"),),
    )
