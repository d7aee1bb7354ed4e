"""Models for the code of an application: rows in, arrays out."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model_server.adapters import registry, tensors
from model_server.adapters.host import Host, LoopThread
from model_server.adapters.settings import read_settings
from model_server.batching import Job
from model_server.config import Config
from model_server.endpoint import Endpoint
from model_server.errors import RequestError
from model_server.http import JSON, Answer, Fields, Headers
from model_server.outputs import Array, Outputs
from model_server.protocol import REQUEST_ID, Inference
from model_server.service import Service

Arrays = dict[str, Array]
"""An array for each output by its name, rows first."""


class _Future(Protocol):
    """What futures of asyncio and of threads have in common."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: Any, /) -> None: ...


class Predictor:
    """The model server's core for the code and the routes of an application.

    Requests of both, from any thread, share batches, metrics, the bounded queue and the
    prediction log. Its models are loaded once the application runs, in a thread with an
    event loop unless `attach` gave it one; until then predictions raise the error
    `not_ready`. All errors of requests are `RequestError`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.runtime = "python"
        self._host: Host | None = None
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()
        registry.predictors.append(self)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None
    ) -> Predictor:
        """Return one with the server's settings, MODEL_SERVER_*.

        Raises `ConfigError` with every problem found.
        """
        return cls(read_settings(os.environ if environment is None else environment))

    # Life

    @property
    def is_ready(self) -> bool:
        """Whether the models are loaded and warm and the process is not closing."""
        return self._host is not None and self._host.service.is_ready

    def start(self) -> Host:
        """Load the models in a thread unless it runs already; call it after a fork."""
        host = self._host
        if host is not None and host.pid == os.getpid():
            return host
        with self._lock:
            if self._host is None or self._host.pid != os.getpid():
                self._thread = LoopThread(self.config, self.runtime, registry.drain)
                self._host = self._thread.host
                atexit.register(self.close)
            return self._host

    def attach(self, service: Service) -> None:
        """Use a service that somebody else runs in the current event loop."""
        self._host = Host(service, asyncio.get_running_loop())

    def detach(self) -> None:
        """Forget the service of `attach`."""
        self._host = None

    @property
    def attached(self) -> Service | None:
        """The service of `attach`, if there is one."""
        return self._host.service if self._host and self._thread is None else None

    def close(self) -> None:
        """Write out the prediction log and stop the thread, if there is one."""
        host, thread, self._thread = self._host, self._thread, None
        if thread is not None and host is not None and host.pid == os.getpid():
            thread.close()

    # For the application's code

    def predict(
        self,
        rows: tensors.Rows,
        *,
        model: str = "",
        version: str = "",
        request_id: str = "",
        timeout_seconds: float | None = None,
    ) -> Arrays:
        """Return the model's outputs for rows; safe in any thread.

        `model` may be left out if there is one only, or MODEL_SERVER_MODEL says which.
        Raises `RequestError`, its `status` and `code` as the server's answers have.
        """
        host = self.start()
        if _running_loop() is host.loop:
            raise RuntimeError(
                "predict would wait for the event loop that it runs in; there use "
                "`await predictor.apredict(...)`"
            )
        ask = _Ask(host, model, version, request_id, timeout_seconds)
        future: Future[Arrays] = Future()
        host.call(ask.submit, ask.read(rows), future)
        return future.result()

    async def apredict(
        self,
        rows: tensors.Rows,
        *,
        model: str = "",
        version: str = "",
        request_id: str = "",
        timeout_seconds: float | None = None,
    ) -> Arrays:
        """Return the same as `predict`, in any event loop."""
        host = self.start()
        ask = _Ask(host, model, version, request_id, timeout_seconds)
        inference = ask.read(rows)
        loop = asyncio.get_running_loop()
        if loop is host.loop:
            future: asyncio.Future[Arrays] = loop.create_future()
            ask.submit(inference, future)
            return await future
        other: Future[Arrays] = Future()
        host.call(ask.submit, inference, other)
        return await asyncio.wrap_future(other)

    def rows_of(
        self,
        records: Iterable[Mapping[str, Any]],
        *,
        model: str = "",
        version: str = "",
    ) -> NDArray[np.float64] | NDArray[np.object_]:
        """Return named features as rows in the order of the model's columns."""
        manifest = _find(self.start().service, model, version).manifest
        return tensors.rows_of(manifest, records)

    # For the application's routes

    def http(
        self, method: str, path: str, fields: Fields, body: Callable[[], bytes]
    ) -> Answer:
        """Answer a request of the contract; call it outside of the event loop.

        `body` is called for inference only and may raise `RequestError`.
        """
        host = self.start()
        service = host.service
        endpoint = service.models_by_path.get(path)
        if endpoint is None or method != "POST":
            return host.ask(host.pages.answer, method, path, fields)
        future: Future[Answer] = Future()

        def respond(status: int, headers: Headers, content: bytes) -> None:
            future.set_result((status, headers, content))

        try:
            content = body()
        except RequestError as error:
            host.call(service.refuse, endpoint, fields, error, respond)
        else:
            host.call(service.infer, endpoint, fields, content, respond)
        return future.result()

    def refuse(
        self, method: str, path: str, fields: Fields, error: RequestError
    ) -> Answer:
        """Answer with an error a request that its server has refused, and count it.

        At a path of a model it counts as the model's, else as one that reached none.
        """
        host = self.start()
        service = host.service
        endpoint = service.models_by_path.get(path)
        if endpoint is None or method != "POST":
            host.call(service.count_http_error, error.status)
            body = error.body()
            length = (b"content-length", b"%d" % len(body))
            return error.status, [JSON, length, *error.headers], body
        future: Future[Answer] = Future()

        def respond(status: int, headers: Headers, content: bytes) -> None:
            future.set_result((status, headers, content))

        host.call(service.refuse, endpoint, fields, error, respond)
        return future.result()


class _Ask:
    """One prediction: read where it is asked for, submitted in the event loop."""

    def __init__(
        self,
        host: Host,
        model: str,
        version: str,
        request_id: str,
        timeout_seconds: float | None,
    ) -> None:
        self._host = host
        self._started_at = now = time.monotonic()
        self._deadline = None if timeout_seconds is None else now + timeout_seconds
        self._request_id = request_id
        self._endpoint = _find(host.service, model, version)

    def read(self, rows: tensors.Rows) -> Inference:
        """Return the rows as the core has them; an error is counted, then raised."""
        try:
            self._check_id()
            return tensors.inference(self._endpoint, rows)
        except RequestError as error:
            self._host.call(self._count, error)
            raise

    def submit(self, inference: Inference, future: _Future) -> None:
        """Queue the request; the future gets the arrays or the error."""

        def done(_job: Job, found: Outputs | RequestError) -> None:
            if future.done():  # whoever asked has gone
                return
            if isinstance(found, RequestError):
                future.set_exception(found)
                return
            # Copies: the batch's arrays are the prediction log's too.
            outputs = zip(self._endpoint.manifest.outputs, found.arrays, strict=True)
            future.set_result({tensor.name: it.copy() for tensor, it in outputs})

        service = self._host.service
        service.submit(
            self._endpoint,
            inference=inference,
            request_id=self._request_id or service.new_id(),
            done=done,
            started_at=self._started_at,
            deadline=self._deadline,
        )

    def _check_id(self) -> None:
        if self._request_id and not REQUEST_ID.fullmatch(self._request_id):
            self._request_id = ""
            raise RequestError(
                400,
                "invalid_request_id",
                "request_id must be 1 to 128 of letters, digits and ._:/+=@-",
            )

    def _count(self, error: RequestError) -> None:
        service = self._host.service
        service.count_refused(
            self._endpoint,
            request_id=self._request_id or service.new_id(),
            started_at=self._started_at,
            error=error,
        )


def _find(service: Service, model: str, version: str) -> Endpoint:
    """Return the model that is asked for; raise `RequestError` if there is none."""
    if not service.models_by_path:
        raise RequestError(
            503,
            "not_ready",
            "the models are still loading; try again",
            headers=((b"retry-after", b"1"),),
        )
    if model:
        return service.models.find(model, version)
    endpoint = service.models_by_path.get("/infer")
    if endpoint is None:
        names = ", ".join(service.models.defaults)
        raise RequestError(
            404, "unknown_model", f"there are several models; name one of {names}"
        )
    return endpoint


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
