"""The monitor's API, as this job uses it (contracts/attributions.yaml)."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

TIMEOUT_SECONDS = 60.0
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 1.0
MOST_BYTES = 1 << 28
"""Maximum size of a response: 100,000 rows of some hundred features."""


class MonitorError(Exception):
    """The monitor refused, or did not answer."""


@dataclass(frozen=True)
class Work:
    """Days to attribute, and the model's properties that attributions depend on."""

    days: Sequence[str]
    task: str
    """binary, multiclass or regression."""
    positive: str
    """The class that a binary score is the probability of."""


@dataclass(frozen=True)
class Sample:
    """Rows of one day, column by column."""

    rows: int
    features: Mapping[str, Sequence[Any]]
    scores: Sequence[float | None]
    labels: Sequence[str | None]


class Monitor:
    """A client that retries a few times if the monitor cannot be reached."""

    def __init__(
        self, address: str, token: str, pause: Callable[[float], object] = time.sleep
    ) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._token, self._pause = token, pause

    def work(self, model: str, revision: str) -> Work:
        found = self._json("GET", f"{_path(model, revision)}/days")
        return Work(found["days"], found["task"], found["positive"])

    def sample(self, model: str, revision: str, day: str) -> Sample:
        found = self._json("GET", f"{_path(model, revision)}/{day}")
        return Sample(
            found["rows"], found["features"], found["scores"], found["labels"]
        )

    def put(self, content: Mapping[str, Any]) -> None:
        """Hand the attributions of a day over."""
        path = _path(content["model"], content["revision"])
        body = json.dumps(content, allow_nan=False).encode()
        self._ask("PUT", f"{path}/{content['date']}", body)

    def _json(self, method: str, path: str) -> Any:
        return json.loads(self._ask(method, path))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the answer's body. Raises MonitorError."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                status, answer = self._exchange(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                continue
            if status < 300:
                return answer
            reason = f"{status}: {answer[:500].decode(errors='replace')}"
            if status < 500:
                break
        raise MonitorError(f"{method} {path}: {reason}")

    def _exchange(
        self, method: str, path: str, body: bytes | None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(
            self._host, self._port, timeout=TIMEOUT_SECONDS
        )
        try:
            headers = {"Authorization": f"Bearer {self._token}"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read(MOST_BYTES + 1)
        finally:
            connection.close()
        if len(content) > MOST_BYTES:
            raise MonitorError(f"{method} {path}: more than {MOST_BYTES} bytes")
        return answer.status, content


def _path(model: str, revision: str) -> str:
    return f"/v1/attributions/{quote(model)}/{quote(revision)}"
