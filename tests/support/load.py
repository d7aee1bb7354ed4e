"""An open-loop load: requests start at a constant rate, whether or not others ended.

A slow server thus meets the same arrivals as a fast one, and a pause shows as latency
of every request that it delayed (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

import httpx


class Load:
    """Sends POST requests from a thread of its own, until the block ends.

    Bounded: at most `rate * limit_seconds` requests, to loopback only.
    """

    def __init__(
        self, url: str, body: bytes, rate: float, limit_seconds: float = 240.0
    ) -> None:
        assert httpx.URL(url).host == "127.0.0.1", url
        self.url, self.body, self.rate = url, body, rate
        self.limit = limit_seconds
        self.outcomes: Counter[str] = Counter()
        self.latencies: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def sent(self) -> int:
        return self.outcomes.total()

    @property
    def failed(self) -> dict[str, int]:
        """Outcomes other than 200: status codes and connection errors, counted."""
        return {k: n for k, n in self.outcomes.items() if k != "200"}

    async def _one(self, client: httpx.AsyncClient) -> None:
        start = time.monotonic()
        try:
            outcome = str((await client.post(self.url, content=self.body)).status_code)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        self.outcomes[outcome] += 1
        self.latencies.append(time.monotonic() - start)

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        headers = {"content-type": "application/json"}
        async with httpx.AsyncClient(
            limits=limits, headers=headers, timeout=20, trust_env=False
        ) as client:
            start = time.monotonic()
            running: set[asyncio.Task[None]] = set()
            number = 0
            while not self._stop.is_set() and number < self.rate * self.limit:
                await asyncio.sleep(
                    max(0.0, start + number / self.rate - time.monotonic())
                )
                task = asyncio.create_task(self._one(client))
                running.add(task)
                task.add_done_callback(running.discard)
                number += 1
            await asyncio.gather(*running)
