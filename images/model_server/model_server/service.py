"""The server's core, apart from any transport: state, routes, inference, pages.

A transport looks a path up in `routes`, collects the body and calls `infer` with a
`respond` that it made; `respond` is called once, in the event loop, at once or later.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from model_server import __version__, cgroup
from model_server.batching import INLINE_SECONDS, Batcher, Job, Outputs
from model_server.config import Config
from model_server.errors import RequestError
from model_server.manifest import ModelError
from model_server.metrics import Exposition, ModelMetrics, add_models
from model_server.model import RUNTIME, Model, load_models
from model_server.prediction_log import PredictionLog, Record, RecordForm
from model_server.process import Usage, add_process
from model_server.protocol import REQUEST_ID, Reader, Writer

Headers = list[tuple[bytes, bytes]]
Respond = Callable[[int, Headers, bytes], None]
Fields = Mapping[bytes, bytes]

JSON = (b"content-type", b"application/json")
JSON_TYPES = frozenset({b"", b"application/json", b"application/json; charset=utf-8"})
PLAIN = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
CLOSE = (b"connection", b"close")

logger = logging.getLogger("model_server")


@dataclass(frozen=True)
class Page:
    """What a GET gives: status, content type, body."""

    status: int
    body: bytes
    content_type: tuple[bytes, bytes] = JSON


@dataclass(frozen=True)
class Route:
    """One path: a page to GET, or a model to POST to."""

    page: Callable[[], Page] | None = None
    endpoint: Endpoint | None = None

    @property
    def allow(self) -> bytes:
        return b"POST" if self.endpoint else b"GET, HEAD"


class Endpoint:
    """One model with all that answers its requests."""

    def __init__(self, model: Model, config: Config, *, inline: bool) -> None:
        manifest = model.manifest
        revision = config.revision or manifest.revision
        self.manifest = manifest
        self.revision = revision
        self.metrics = ModelMetrics(
            {
                "model": manifest.name,
                "revision": revision,
                "runtime": RUNTIME,
                "namespace": config.namespace,
                "arm": config.arm,
            },
            manifest.version,
        )
        self.reader = Reader(manifest, config.max_request_rows)
        self.writer = Writer(manifest)
        self.form = RecordForm(manifest, revision, config.arm)
        self.batcher = Batcher(
            model,
            self.metrics,
            max_batch_rows=config.max_batch_rows,
            max_queue_rows=config.max_queue_rows,
            inline=inline,
        )
        self.headers: Headers = [
            JSON,
            (b"x-model-revision", revision.encode()),
            (b"x-model-version", manifest.version.encode()),
        ]

    def metadata(self) -> dict[str, object]:
        return {
            "name": self.manifest.name,
            "versions": [self.manifest.version],
            "platform": "onnxruntime_onnx",
            "inputs": [tensor.metadata() for tensor in self.manifest.inputs],
            "outputs": [tensor.metadata() for tensor in self.manifest.outputs],
            "parameters": {
                "revision": self.revision,
                "features": list(self.manifest.features),
            },
        }


class Service:
    """State and behaviour of one server process."""

    def __init__(self, config: Config, log: PredictionLog | None) -> None:
        self.config = config
        self.log = log
        self.is_ready = False
        self.is_draining = False
        self.inflight = 0
        self.buffered_bytes = 0
        self.connections: Callable[[], int] = int
        self.http_errors: dict[int, int] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.routes: dict[str, Route] = {
            "/healthz": Route(self._live),
            "/readyz": Route(self._ready),
            "/metrics": Route(self._metrics),
            "/v2": Route(self._server),
            "/v2/health/live": Route(self._live),
            "/v2/health/ready": Route(self._ready),
        }
        self._id_prefix = os.urandom(8).hex()
        self._numbers = itertools.count(1)
        self._usage = Usage(cgroup.cpu_limit())

    # Life

    async def load(self) -> None:
        """Load and warm all models up; then the server is ready."""
        config = self.config
        limit = cgroup.cpu_limit()
        threads = config.threads or cgroup.threads(limit)
        started = time.perf_counter()
        models = await asyncio.to_thread(load_models, config.models, threads)
        if config.model and config.model not in models:
            known = ", ".join(models)
            raise ModelError(
                [f"MODEL_SERVER_MODEL={config.model!r}: {config.models} has {known}"]
            )
        for name, model in models.items():
            seconds = await asyncio.to_thread(model.warm_up, config.max_batch_rows)
            self._add(name, Endpoint(model, config, inline=seconds < INLINE_SECONDS))
            logger.info(
                "model loaded",
                extra={
                    "model": name,
                    "version": model.manifest.version,
                    "revision": self.endpoints[name].revision,
                    "threads": threads,
                    "cpu_limit": limit,
                    "full_batch_seconds": round(seconds, 6),
                },
            )
        default = config.model or (next(iter(models)) if len(models) == 1 else "")
        if default:
            self.routes["/infer"] = Route(endpoint=self.endpoints[default])
        self.is_ready = True
        logger.info("ready", extra={"seconds": round(time.perf_counter() - started, 3)})

    def _add(self, name: str, endpoint: Endpoint) -> None:
        self.endpoints[name] = endpoint
        endpoint.metrics.is_ready = True
        body = orjson.dumps(endpoint.metadata())
        ready = orjson.dumps({"name": name, "ready": True})
        for path in (
            f"/v2/models/{name}",
            f"/v2/models/{name}/versions/{endpoint.manifest.version}",
        ):
            self.routes[path] = Route(lambda: Page(200, body))
            self.routes[f"{path}/ready"] = Route(
                lambda: Page(200, ready) if self.is_ready else self._ready()
            )
            self.routes[f"{path}/infer"] = Route(endpoint=endpoint)

    def stop_taking(self) -> None:
        """Be not ready from now on."""
        self.is_ready = False
        for endpoint in self.endpoints.values():
            endpoint.metrics.is_ready = False

    def close(self, seconds: float) -> None:
        """Write out the prediction log and end the threads."""
        for endpoint in self.endpoints.values():
            endpoint.batcher.close()
        if self.log:
            self.log.stop(seconds)

    def sample_usage(self) -> None:
        """Update the saturation of each model; call about once a second."""
        busy = self._usage.sample()
        for endpoint in self.endpoints.values():
            batcher = endpoint.batcher
            fill = batcher.queued_rows / batcher.max_queue_rows
            endpoint.metrics.saturation = round(min(1.0, max(fill, busy)), 4)

    # Inference

    def new_id(self) -> str:
        return f"{self._id_prefix}-{next(self._numbers):x}"

    def infer(
        self, endpoint: Endpoint, fields: Fields, body: bytes, respond: Respond
    ) -> None:
        """Answer one inference request whose body is complete."""
        started = time.perf_counter()
        request_id = ""
        endpoint.metrics.inflight += 1
        self.inflight += 1
        try:
            request_id = request_id_of(fields)
            check_media_type(fields)
            inference = endpoint.reader.read(body)
            request_id = request_id or inference.id or self.new_id()
            endpoint.batcher.submit(
                Job(
                    endpoint,
                    inference=inference,
                    request_id=request_id,
                    respond=respond,
                    done=self._done,
                    started_at=started,
                )
            )
        except RequestError as error:
            self._fail(endpoint, request_id or self.new_id(), started, error, respond)
        except Exception:
            logger.exception("a fault of the server", extra={"request_id": request_id})
            fault = RequestError(500, "internal", "a fault of the server, see its log")
            self._fail(endpoint, request_id or self.new_id(), started, fault, respond)

    def refuse(
        self, endpoint: Endpoint, fields: Fields, error: RequestError, respond: Respond
    ) -> None:
        """Answer with an error a request whose body was not taken."""
        try:
            request_id = request_id_of(fields)
        except RequestError:
            request_id = ""
        endpoint.metrics.inflight += 1
        self.inflight += 1
        self._fail(
            endpoint, request_id or self.new_id(), time.perf_counter(), error, respond
        )

    def _done(self, job: Job, result: Outputs | RequestError) -> None:
        endpoint: Endpoint = job.endpoint
        request_id = job.request_id
        if isinstance(result, RequestError):
            self._fail(endpoint, request_id, job.started_at, result, job.respond)
            return
        inference = job.inference
        body = endpoint.writer.write(
            inference.id or request_id, inference.rows, inference.wanted, result
        )
        headers = [
            *endpoint.headers,
            (b"x-request-id", request_id.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        if self.is_draining:
            headers.append(CLOSE)
        job.respond(200, headers, body)
        latency = time.perf_counter() - job.started_at
        metrics = endpoint.metrics
        metrics.inflight -= 1
        self.inflight -= 1
        metrics.requests += 1
        metrics.latency.observe(latency)
        if self.log is not None:
            self.log.append(
                Record(
                    endpoint.form,
                    request_id,
                    time.time(),
                    latency,
                    200,
                    "",
                    inference.rows,
                    inference.buffers,
                    result,
                )
            )

    def _fail(
        self,
        endpoint: Endpoint,
        request_id: str,
        started: float,
        error: RequestError,
        respond: Respond,
    ) -> None:
        body = error.body(request_id)
        headers = [
            *endpoint.headers,
            *error.headers,
            (b"x-request-id", request_id.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        if self.is_draining and CLOSE not in headers:
            headers.append(CLOSE)
        respond(error.status, headers, body)
        latency = time.perf_counter() - started
        metrics = endpoint.metrics
        metrics.inflight -= 1
        self.inflight -= 1
        metrics.requests += 1
        metrics.latency.observe(latency)
        metrics.count_error(error.status, error.code)
        if self.log is not None:
            self.log.append(
                Record(
                    endpoint.form,
                    request_id,
                    time.time(),
                    latency,
                    error.status,
                    error.code,
                    1,
                    (),
                    (),
                )
            )

    # Everything else

    def page(
        self, method: str, path: str, fields: Fields
    ) -> tuple[int, Headers, bytes]:
        """Answer a request that reaches no model: a page or an error."""
        headers: Headers = []
        try:
            request_id = request_id_of(fields)
            route = self.routes.get(path)
            if route is None:
                raise self._no_route(path)
            if route.page is None or method not in {"GET", "HEAD"}:
                raise RequestError(
                    405,
                    "method_not_allowed",
                    f"{method} is not for {path}; use {route.allow.decode()}",
                    headers=((b"allow", route.allow),),
                )
            page = route.page()
            status, body = page.status, page.body
            headers.append(page.content_type)
        except RequestError as error:
            request_id = "" if error.code == "invalid_request_id" else request_id
            request_id = request_id or self.new_id()
            status, body = error.status, error.body(request_id)
            headers += [JSON, *error.headers]
            self.http_errors[status] = self.http_errors.get(status, 0) + 1
        if request_id:
            headers.append((b"x-request-id", request_id.encode()))
        headers.append((b"content-length", b"%d" % len(body)))
        if self.is_draining:
            headers.append(CLOSE)
        return status, headers, body

    def _no_route(self, path: str) -> RequestError:
        parts = path.split("/")
        is_infer = path == "/infer"
        if not self.endpoints and (is_infer or path.startswith("/v2/models/")):
            return RequestError(
                503,
                "not_ready",
                "the models are still loading; try again",
                headers=((b"retry-after", b"1"),),
            )
        if is_infer:
            return RequestError(
                404,
                "unknown_model",
                "several models are served here; name one: "
                + ", ".join(f"/v2/models/{name}/infer" for name in self.endpoints),
            )
        if len(parts) >= 4 and parts[1:3] == ["v2", "models"]:
            endpoint = self.endpoints.get(parts[3])
            if endpoint is None:
                return RequestError(
                    404,
                    "unknown_model",
                    f"no model {parts[3][:128]!r} here; there is "
                    + ", ".join(self.endpoints),
                )
            if len(parts) >= 6 and parts[4] == "versions":
                version = endpoint.manifest.version
                if parts[5] != version:
                    return RequestError(
                        404,
                        "unknown_version",
                        f"{parts[3]} has no version {parts[5][:128]!r} here; there is "
                        + version,
                    )
        return RequestError(
            404, "not_found", f"nothing at {path[:128]!r}; GET /v2 tells what is here"
        )

    def _live(self) -> Page:
        return Page(200, b'{"live":true}')

    def _ready(self) -> Page:
        if self.is_ready:
            return Page(200, b'{"ready":true}')
        why = b"draining" if self.is_draining else b"loading"
        return Page(503, b'{"ready":false,"reason":"%b"}' % why)

    def _server(self) -> Page:
        content = {
            "name": "slipway-model-server",
            "version": __version__,
            "extensions": [],
            "models": list(self.endpoints),
        }
        return Page(200, orjson.dumps(content))

    def _metrics(self) -> Page:
        text = Exposition()
        add_models(text, [endpoint.metrics for endpoint in self.endpoints.values()])
        text.family(
            "model_server_http_errors_total",
            "counter",
            "Requests that reached no model and were answered with an error.",
            [
                ("model_server_http_errors_total", {"status": str(status)}, count)
                for status, count in self.http_errors.items()
            ],
        )
        text.plain(
            "model_server_connections",
            "gauge",
            "Open connections.",
            self.connections(),
        )
        if self.log:
            self.log.add_metrics(text)
        add_process(text)
        return Page(200, text.text(), PLAIN)


def request_id_of(fields: Fields) -> str:
    """Return the request's X-Request-Id or an empty string; raise on a bad one."""
    value = fields.get(b"x-request-id")
    if value is None:
        return ""
    text = value.decode("latin-1")
    if not REQUEST_ID.fullmatch(text):
        raise RequestError(
            400,
            "invalid_request_id",
            "X-Request-Id must be 1 to 128 of letters, digits and . _ : / + = @ -",
        )
    return text


def check_media_type(fields: Fields) -> None:
    """Raise on a body that is declared to be something else than plain JSON."""
    media = fields.get(b"content-type", b"")
    if media not in JSON_TYPES:
        kind, _, parameters = media.lower().partition(b";")
        charset = parameters.strip().replace(b'"', b"")
        if kind.strip() != b"application/json" or charset not in {
            b"",
            b"charset=utf-8",
            b"charset=utf8",
        }:
            shown = media[:60].decode("latin-1")
            raise RequestError(
                415,
                "unsupported_media_type",
                f"content-type {shown!r}: send application/json in UTF-8",
            )
    encoding = fields.get(b"content-encoding", b"identity")
    if encoding != b"identity" or b"inference-header-content-length" in fields:
        raise RequestError(
            415,
            "unsupported_media_type",
            "neither content encodings nor binary tensors are taken; send plain JSON",
        )
