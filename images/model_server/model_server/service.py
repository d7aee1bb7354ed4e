"""The server's core, apart from any transport: its state, models and inference.

A transport looks a path up in `models_by_path`, collects the body and calls `infer`
with a `respond` of its own; `respond` is called once, in the event loop, at once or
later. All other requests get their answers from `pages`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Callable

from model_server import cgroup
from model_server.batching import INLINE_SECONDS, Job, Outputs
from model_server.config import Config
from model_server.endpoint import Endpoint
from model_server.errors import RequestError
from model_server.http import (
    CLOSE,
    Fields,
    Headers,
    Respond,
    check_media_type,
    request_id_of,
)
from model_server.manifest import ModelError
from model_server.model import load_models
from model_server.prediction_log import PredictionLog
from model_server.process import Usage
from model_server.records import Record

logger = logging.getLogger("model_server")


class Service:
    """State and behaviour of one server process."""

    def __init__(self, config: Config, log: PredictionLog | None) -> None:
        self.config = config
        self.log = log
        self.is_ready = False
        self.is_draining = False
        self.inflight = 0
        self.buffered_bytes = 0
        self.http_errors: dict[int, int] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.models_by_path: dict[str, Endpoint] = {}
        self.count_connections: Callable[[], int] = int
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
            run = await asyncio.to_thread(model.warm_up, config.max_batch_rows)
            inline_rows = run.rows_within(INLINE_SECONDS)
            endpoint = Endpoint(model, config, inline_rows=inline_rows)
            logger.info(
                "model loaded",
                extra={
                    "model": name,
                    "version": model.manifest.version,
                    "revision": endpoint.revision,
                    "threads": threads,
                    "cpu_limit": limit,
                    "one_row_seconds": round(run.one, 6),
                    "full_batch_seconds": round(run.full, 6),
                    "inline_rows": inline_rows,
                },
            )
            self.endpoints[name] = endpoint
        self._open(config.model or (next(iter(models)) if len(models) == 1 else ""))
        logger.info("ready", extra={"seconds": round(time.perf_counter() - started, 3)})

    def _open(self, default: str) -> None:
        """Take inference requests from now on."""
        for endpoint in self.endpoints.values():
            endpoint.metrics.is_ready = True
            for path in endpoint.paths:
                self.models_by_path[f"{path}/infer"] = endpoint
        if default:
            self.models_by_path["/infer"] = self.endpoints[default]
        self.is_ready = True

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

    def count_http_error(self, status: int) -> None:
        """Count an error of a request that reached no model."""
        self.http_errors[status] = self.http_errors.get(status, 0) + 1

    def infer(
        self,
        endpoint: Endpoint,
        fields: Fields,
        body: bytes | bytearray,
        respond: Respond,
    ) -> None:
        """Answer one inference request whose body is complete."""
        started = time.perf_counter()
        request_id = ""
        self._begin(endpoint)
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
            request_id = request_id_of(fields) or self.new_id()
        except RequestError:
            request_id = self.new_id()
        self._begin(endpoint)
        self._fail(endpoint, request_id, time.perf_counter(), error, respond)

    def _begin(self, endpoint: Endpoint) -> None:
        endpoint.metrics.inflight += 1
        self.inflight += 1

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
        job.respond(200, self._headers(endpoint, request_id, body), body)
        record = Record(
            form=endpoint.form,
            request_id=request_id,
            time=time.time(),
            latency=time.perf_counter() - job.started_at,
            status=200,
            code="",
            rows=inference.rows,
            buffers=inference.buffers,
            outputs=result,
        )
        self._end(endpoint, record)

    def _fail(
        self,
        endpoint: Endpoint,
        request_id: str,
        started: float,
        error: RequestError,
        respond: Respond,
    ) -> None:
        body = error.body(request_id)
        headers = self._headers(endpoint, request_id, body)
        headers += [item for item in error.headers if item not in headers]
        respond(error.status, headers, body)
        endpoint.metrics.count_error(error.status, error.code)
        record = Record(
            form=endpoint.form,
            request_id=request_id,
            time=time.time(),
            latency=time.perf_counter() - started,
            status=error.status,
            code=error.code,
            rows=1,
            buffers=(),
            outputs=(),
        )
        self._end(endpoint, record)

    def _headers(self, endpoint: Endpoint, request_id: str, body: bytes) -> Headers:
        headers = [
            *endpoint.headers,
            (b"x-request-id", request_id.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        if self.is_draining:
            headers.append(CLOSE)
        return headers

    def _end(self, endpoint: Endpoint, record: Record) -> None:
        metrics = endpoint.metrics
        metrics.inflight -= 1
        self.inflight -= 1
        metrics.requests += 1
        metrics.latency.observe(record.latency)
        if self.log is not None:
            self.log.append(record)
