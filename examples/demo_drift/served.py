"""Asks the served model for batches of rows, over the Open Inference Protocol v2."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np
from numpy.typing import NDArray

from components.contracts import HEADERS
from examples.demo_drift.timeline import Batch
from toolchain.errors import OperatorError

THREADS = 4
ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.25
"""Doubled after each failed attempt: 32 s in all."""
TIMEOUT_SECONDS = 20.0
AGAIN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Answer:
    """What the served model said of a batch."""

    batch: Batch
    decisions: NDArray[np.int64]
    scores: NDArray[np.float64]
    """Of the second class."""
    version: str
    revision: str
    latency_seconds: float


class ServedModel:
    """A model behind a URL; use it in a `with` statement."""

    def __init__(self, url: str) -> None:
        """`url`: what `/infer` is appended to."""
        self.url = f"{url.rstrip('/')}/infer"

    def __enter__(self) -> Self:
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._threads.shutdown(cancel_futures=True)
        self._client.close()

    def ask(self, batches: Sequence[Batch]) -> list[Answer]:
        """Return the answers, in order. Raises OperatorError.

        A batch that finds the server busy or gone is sent again under the same id: the
        log counts it once.
        """
        return list(self._threads.map(self._ask, batches))

    def _ask(self, batch: Batch) -> Answer:
        content = _request(batch.rows.features)
        pause, problem = FIRST_PAUSE_SECONDS, ""
        for _ in range(ATTEMPTS):
            started = time.monotonic()
            try:
                response = self._client.post(
                    self.url, content=content, headers=_headers(batch)
                )
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if response.status_code == httpx.codes.OK:
                    return _answer(batch, response, time.monotonic() - started)
                problem = f"{response.status_code} {response.text[:300]}"
                if response.status_code not in AGAIN:
                    break
            if self._stopping.wait(pause):
                break
            pause *= 2
        raise OperatorError(
            f"{self.url}: no prediction for request {batch.request_id}: {problem}; "
            "look at `slipway local status`, or give the address of a model with --url"
        )


def _headers(batch: Batch) -> dict[str, str]:
    return {"content-type": "application/json", HEADERS["request_id"]: batch.request_id}


def _request(features: NDArray[np.float32]) -> bytes:
    tensor = {
        "name": "input",
        "datatype": "FP32",
        "shape": list(features.shape),
        "data": features.ravel().tolist(),
    }
    return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()


def _answer(batch: Batch, response: httpx.Response, seconds: float) -> Answer:
    """Return what a response holds; raise OperatorError if it is of other rows."""
    content = response.json()
    count = len(batch.rows)
    decisions = np.asarray(_output(content, "label"), np.int64)
    scores = np.asarray(_output(content, "probability"), np.float64).reshape(-1, 2)
    given = response.headers.get(HEADERS["request_id"], "")
    if decisions.shape != (count,) or len(scores) != count:
        raise OperatorError(
            f"{response.url}: {len(decisions)} answers to the {count} rows of request "
            f"{batch.request_id}; is another model served there?"
        )
    if given != batch.request_id:
        raise OperatorError(
            f"{response.url}: the answer to request {batch.request_id} names "
            f"{given!r}: labels could not be joined; let X-Request-Id through"
        )
    return Answer(
        batch,
        decisions,
        scores[:, 1],
        content["model_version"],
        response.headers[HEADERS["revision"]],
        seconds,
    )


def _output(content: dict[str, Any], name: str) -> list[Any]:
    found: list[Any] = next(
        it["data"] for it in content["outputs"] if it["name"] == name
    )
    return found
