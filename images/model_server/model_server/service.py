"""The server's core, apart from any transport: its state, models and inference.

A transport looks a path up in `models_by_path`, collects the body and calls `infer`
with a `respond` of its own; `respond` is called once, in the event loop, at once or
later. All other requests get their answers from `pages`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable

from model_server import cgroup
from model_server.batching import Done, Job
from model_server.compression import accepted, encoding, inflated
from model_server.config import Config
from model_server.endpoint import Endpoint
from model_server.errors import RequestError, internal
from model_server.http import (
    CLOSE,
    JSON,
    OCTETS,
    Fields,
    Headers,
    Respond,
    RespondText,
    check_media_type,
    deadline_of,
    json_bytes_of,
    request_id_of,
)
from model_server.loaded_log import log_loaded
from model_server.logs import log_fault
from model_server.manifest import ModelError
from model_server.model import load_models
from model_server.models import Models, newest
from model_server.outputs import Outputs
from model_server.prediction_log import PredictionLog, without_hash_key
from model_server.preparation import prepare_all
from model_server.process import Usage
from model_server.protocol import Inference
from model_server.records import Record, answered
from model_server.request_lines import RequestLines
from model_server.text_memory import without_room

logger = logging.getLogger("model_server")


class Service:
    """State and behaviour of one server process."""

    def __init__(
        self, config: Config, log: PredictionLog | None, runtime: str = ""
    ) -> None:
        self.config = config
        self.log = log
        self._lines = RequestLines(config.request_lines_per_second)
        self.runtime = runtime
        self.is_ready = False
        self.is_draining = False
        self.inflight = 0
        self.buffered_bytes = 0
        self.http_errors: dict[int, int] = {}
        self.models = Models()
        self.models_by_path: dict[str, Endpoint] = {}
        self.count_connections: Callable[[], int] = int
        self._id_prefix = os.urandom(8).hex()
        self._numbers = itertools.count(1)
        self._usage = Usage(cgroup.cpu_limit())

    # Life

    async def load(self) -> None:
        """Load and warm all models up; then the server is ready."""
        config = self.config
        threads = config.threads or cgroup.threads(cgroup.cpu_limit())
        started = time.perf_counter()
        models = await asyncio.to_thread(load_models, config.models, threads)
        if problems := without_hash_key(models, config) + without_room(models, config):
            raise ModelError(problems)
        defaults = newest([model.manifest for model in models], config.default_version)
        if config.model and config.model not in defaults:
            known = ", ".join(defaults)
            raise ModelError(
                [f"MODEL_SERVER_MODEL={config.model!r}: {config.models} has {known}"]
            )
        prepared, refused = await asyncio.to_thread(
            prepare_all,
            models,
            defaults,
            max_batch_rows=config.max_batch_rows,
            max_request_rows=config.max_request_rows,
            evaluator=config.evaluator,
        )
        for refusal in refused:
            self.models.refuse(refusal, config, defaults, self.runtime)
        if config.model in self.models.refused:
            raise ModelError([self.models.refused[config.model]])
        for item in prepared:
            manifest = item.model.manifest
            is_default = defaults[manifest.name] is manifest
            revision = manifest.revision
            if is_default and config.revision:
                revision = config.revision
            endpoint = Endpoint(item, config, revision=revision, runtime=self.runtime)
            log_loaded(endpoint, item, is_default=is_default, threads=threads)
            self.models.add(endpoint, is_default=is_default)
        self._open(config.model or (next(iter(defaults)) if len(defaults) == 1 else ""))
        logger.info("ready", extra={"seconds": round(time.perf_counter() - started, 3)})

    def _open(self, default: str) -> None:
        """Take inference requests from now on."""
        for endpoint in self.models:
            endpoint.metrics.is_ready = True
        self.models_by_path = self.models.by_path(default)
        self.is_ready = True

    def stop_taking(self) -> None:
        """Be not ready from now on."""
        self.is_ready = False
        for endpoint in self.models:
            endpoint.metrics.is_ready = False

    def close(self, seconds: float) -> None:
        """Write out the logs and end the threads."""
        for endpoint in self.models:
            endpoint.batcher.close()
        self._lines.close()
        if self.log:
            self.log.stop(seconds)

    def sample_usage(self) -> None:
        """Update the saturation of each model; call about once a second."""
        busy = self._usage.sample()
        for endpoint in self.models:
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
        respond_text: RespondText | None = None,
    ) -> None:
        """Answer one HTTP inference request whose body is complete.

        `respond_text`, if given, gets the ordinary answer, which is most of them.
        """
        started = time.monotonic()
        request_id = ""
        deadline = None
        try:
            if coding := accepted(fields.get(b"accept-encoding", b"")):
                respond, respond_text = encoding(respond, coding), None
            if b"x-request-id" in fields:
                request_id = request_id_of(fields)
            if b"x-model-revision" in fields or b"x-model-shadow" in fields:
                endpoint = endpoint.of_request(fields)
            if b"x-request-timeout-ms" in fields:
                deadline = deadline_of(fields, started)
            if fields.get(b"content-type") != JSON[1] and not endpoint.is_predict:
                check_media_type(fields)
            inference = self._read(endpoint, fields, body)
        except RequestError as error:
            self._refuse(endpoint, request_id, started, error, respond)
        except Exception as error:  # noqa: BLE001, it is logged
            log_fields = endpoint.log_fields(request_id)
            log_fault(logger, "a request could not be read", error, **log_fields)
            self._refuse(endpoint, request_id, started, internal(), respond)
        else:
            self._queue(
                Job(
                    endpoint,
                    inference,
                    request_id or inference.id or self.new_id(),
                    respond,
                    self._done,
                    None,
                    started,
                    inference.deadline(started, deadline),
                    not inference.binary,
                    respond_text,
                )
            )

    def _read(
        self, endpoint: Endpoint, fields: Fields, body: bytes | bytearray
    ) -> Inference:
        coded = b"content-encoding" in fields
        if coded or b"inference-header-content-length" in fields:
            inference = self._read_coded(endpoint, fields, body)
        else:
            inference = endpoint.reader.read(body)
        if endpoint.unit_of:
            inference.unit = endpoint.unit_of(fields)
        return inference

    def _read_coded(
        self, endpoint: Endpoint, fields: Fields, body: bytes | bytearray
    ) -> Inference:
        """Read a body that is compressed or has raw tensors."""
        json_bytes = None
        if b"content-encoding" in fields:
            body = inflated(fields, body, self.config.max_body_bytes)
        if b"inference-header-content-length" in fields:
            json_bytes = json_bytes_of(fields, len(body))
        return endpoint.reader.read(body, json_bytes)

    def submit(
        self,
        endpoint: Endpoint,
        *,
        inference: Inference,
        request_id: str,
        done: Done,
        started_at: float,
        deadline: float | None = None,
    ) -> None:
        """Queue what a transport has read; it is counted, logged and answered once.

        `done` gets the job with its outputs or error and answers as it likes. It is
        called in the event loop, perhaps before this returns. `started_at` and
        `deadline` are seconds of `time.monotonic`; the request's own may be earlier.
        Call it in the event loop.
        """
        self._queue(
            Job(
                endpoint,
                inference,
                request_id,
                None,
                self._done,
                done,
                started_at,
                inference.deadline(started_at, deadline),
                as_text=False,
            )
        )

    def _queue(self, job: Job) -> None:
        job.endpoint.metrics.inflight += 1
        self.inflight += 1
        try:
            job.endpoint.batcher.submit(job)
        except RequestError as error:
            self._done(job, error)
        except Exception as error:  # noqa: BLE001, it is logged
            log_fields = job.endpoint.log_fields(job.request_id)
            log_fault(logger, "a request could not be queued", error, **log_fields)
            self._done(job, internal())

    def refuse(
        self, endpoint: Endpoint, fields: Fields, error: RequestError, respond: Respond
    ) -> None:
        """Answer with an error an HTTP request whose body was not taken."""
        request_id = ""
        with contextlib.suppress(RequestError):
            request_id = request_id_of(fields)
        self._refuse(endpoint, request_id, time.monotonic(), error, respond)

    def count_refused(
        self,
        endpoint: Endpoint,
        *,
        request_id: str,
        started_at: float,
        error: RequestError,
    ) -> None:
        """Count and log a request that its transport has refused and answered."""
        endpoint.metrics.inflight += 1
        self.inflight += 1
        self._end(endpoint, self._error_record(endpoint, request_id, started_at, error))

    def _refuse(
        self,
        endpoint: Endpoint,
        request_id: str,
        started: float,
        error: RequestError,
        respond: Respond,
    ) -> None:
        request_id = request_id or self.new_id()
        self._respond_error(endpoint, request_id, error, respond)
        self.count_refused(
            endpoint, request_id=request_id, started_at=started, error=error
        )

    def _done(self, job: Job, result: Outputs | RequestError) -> None:
        """Answer a job, then count and log it."""
        endpoint = job.endpoint
        request_id = job.request_id
        inference = job.inference
        try:
            if job.transport_done is not None:
                job.transport_done(job, result)
            elif job.respond is None:
                raise TypeError("a job has neither respond nor done")
            elif isinstance(result, RequestError):
                self._respond_error(endpoint, request_id, result, job.respond)
            elif inference.binary:
                self._respond_binary(endpoint, job, result)
            else:
                name = request_id.encode()
                shown = inference.id.encode() if inference.id else name
                body = inference.write and inference.write(result)
                body = body or endpoint.writer.write(
                    shown, inference.rows, inference.wanted, result
                )
                if job.respond_text is not None and not self.is_draining:
                    job.respond_text(endpoint.head % (name, len(body)), body)
                else:
                    job.respond(200, self._headers(endpoint, request_id, body), body)
        finally:
            if isinstance(result, RequestError):
                record = self._error_record(
                    endpoint, request_id, job.started_at, result
                )
            else:
                latency = time.monotonic() - job.started_at
                record = answered(endpoint.form, request_id, latency, inference, result)
            self._end(endpoint, record)

    def _respond_binary(self, endpoint: Endpoint, job: Job, outputs: Outputs) -> None:
        json_bytes, body = endpoint.binary_writer.write(
            job.inference.id or job.request_id, job.inference, outputs
        )
        headers = self._headers(endpoint, job.request_id, body)
        headers[headers.index(JSON)] = (b"content-type", OCTETS)
        headers.append((b"inference-header-content-length", b"%d" % json_bytes))
        if job.respond:
            job.respond(200, headers, body)

    def _respond_error(
        self,
        endpoint: Endpoint,
        request_id: str,
        error: RequestError,
        respond: Respond,
    ) -> None:
        is_plain = endpoint.is_predict
        body = error.plain_body() if is_plain else error.body(request_id)
        headers = self._headers(endpoint, request_id, body)
        headers += [item for item in error.headers if item not in headers]
        respond(error.status, headers, body)

    def _error_record(
        self, endpoint: Endpoint, request_id: str, started: float, error: RequestError
    ) -> Record:
        endpoint.metrics.count_error(error.status, error.code)
        latency = time.monotonic() - started
        return Record(
            form=endpoint.form,
            request_id=request_id,
            time=time.time() - latency,
            latency=latency,
            status=error.status,
            code=error.code,
            rows=1,
            buffers=(),
            outputs=None,
        )

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
        self._lines.add(endpoint.manifest.name, endpoint.revision, record)
        if self.log is not None:
            self.log.append(record)
