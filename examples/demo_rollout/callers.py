"""Callers that send the next request as soon as the last one is answered."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from itertools import count
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from components.contracts import HEADERS

REVISION = HEADERS["revision"]
TIMEOUT_SECONDS = 20.0
CALLERS = 4
UNNAMED = "without a name"
"""Answers without the header `REVISION`."""
_JSON = {"content-type": "application/json"}


class Callers:
    """They call while the block runs; use it in a `with` statement."""

    def __init__(
        self, url: str, body: bytes, *, most: int | None = None, callers: int = CALLERS
    ) -> None:
        """most: requests of all callers together; without it, until the block ends."""
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._path, self._body = address.path, body
        self.answers: Counter[str] = Counter()
        """Answers with status 200, by the revision that the answer names."""
        self.failures: Counter[str] = Counter()
        """All others, by status or by the name of the error."""
        self._lock = threading.Lock()
        self._requests = iter(count() if most is None else range(most))
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self.wait()

    def wait(self) -> Self:
        """Wait until `most` requests are answered."""
        for thread in self._threads:
            thread.join()
        return self

    def _call(self) -> None:
        connection = http.client.HTTPConnection(
            self._host, self._port, timeout=TIMEOUT_SECONDS
        )
        while not self._stopping.is_set() and self._has_another():
            counter, key = self._ask(connection)
            with self._lock:
                counter[key] += 1
        connection.close()

    def _has_another(self) -> bool:
        with self._lock:
            return next(self._requests, None) is not None

    def _ask(self, connection: http.client.HTTPConnection) -> tuple[Counter[str], str]:
        try:
            connection.request("POST", self._path, self._body, _JSON)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return self.failures, type(error).__name__
        if answer.status != http.HTTPStatus.OK:
            return self.failures, str(answer.status)
        return self.answers, answer.getheader(REVISION) or UNNAMED
