"""Send a log's requests to a model server again, with limits on number and time.

The requests carry the header of copies with the revision's name: the server logs them
as copies, which do not count, and any other revision rejects them.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import httpx

from components.contracts import HEADERS
from slipway.replay.pairs import Pair
from slipway.replay.prediction_log import Record, pair
from slipway.replay.request import Model, ModelError


@dataclass(frozen=True)
class Bounds:
    """The end of a replay, and the number of concurrent requests."""

    requests: int
    concurrent: int
    seconds: float
    answer_seconds: float


@dataclass
class Replay:
    """The results so far."""

    pairs: list[Pair] = field(default_factory=list)
    requests: int = 0
    """Requests that were sent and have ended, in whatever way."""
    failed: Counter[str] = field(default_factory=Counter)
    """Requests without a good answer, by what happened."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Requests that were not sent, by reason."""
    seconds: float = 0.0
    ended: str = "all requests of the log were asked"


@dataclass(frozen=True)
class Server:
    """One server of the new revision."""

    url: str
    model: str
    revision: str
    transport: httpx.AsyncBaseTransport | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {
            "content-type": "application/json",
            HEADERS["revision"]: self.revision,
            HEADERS["shadow"]: self.revision,
        }

    def client(self, bounds: Bounds) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=bounds.concurrent)
        return httpx.AsyncClient(
            base_url=self.url.rstrip("/"),
            headers=self.headers,
            limits=limits,
            timeout=bounds.answer_seconds,
            transport=self.transport,
        )

    async def metadata(self, client: httpx.AsyncClient) -> dict[str, object]:
        """ModelError if the server does not serve that revision of the model."""
        what = f"{self.url}: {self.model}, revision {self.revision}"
        try:
            answered = await client.get(f"/v2/models/{self.model}")
            answered.raise_for_status()
            found: dict[str, object] = answered.json()
        except httpx.HTTPStatusError as error:
            text = error.response.text[:300]
            raise ModelError(
                f"{what}: answered {error.response.status_code}: {text}"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise ModelError(
                f"{what}: cannot be asked ({error!r}); forward a port of one of its "
                "pods (kubectl port-forward) and give its address"
            ) from error
        return found


async def replay(
    server: Server,
    requests: Iterator[list[Record]],
    bounds: Bounds,
    *,
    decision: str = "",
    score: str = "",
    on_answer: Callable[[Replay], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Replay:
    """Ask until the log or a bound ends; `on_answer` is called after each answer."""
    found = Replay()
    began = clock()
    async with server.client(bounds) as client:
        model = Model.of(await server.metadata(client), decision, score)
        waiting = islice(_askable(model, requests, found), bounds.requests)

        async def work() -> None:
            while True:
                if clock() - began >= bounds.seconds:
                    found.ended = f"{bounds.seconds:g} seconds were over"
                    return
                if (rows := next(waiting, None)) is None:
                    return
                await _ask(server, client, model, rows, found)
                found.requests += 1
                on_answer(found)

        # The first error ends the others and is raised alone.
        workers = [asyncio.create_task(work()) for _ in range(bounds.concurrent)]
        try:
            await asyncio.gather(*workers)
        finally:
            for one in workers:
                one.cancel()
    if found.requests >= bounds.requests:
        found.ended = f"{bounds.requests} requests were asked"
    found.seconds = clock() - began
    return found


def _askable(
    model: Model, requests: Iterator[list[Record]], found: Replay
) -> Iterator[list[Record]]:
    """Requests of which the log has all features of all rows."""
    for rows in requests:
        missing = {name for row in rows for name in model.missing(row)}
        if not missing:
            yield rows
            continue
        some = ", ".join(sorted(missing)[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        found.left_out[f"requests without {some}{more}"] += 1


async def _ask(
    server: Server,
    client: httpx.AsyncClient,
    model: Model,
    rows: list[Record],
    found: Replay,
) -> None:
    began = time.monotonic()
    try:
        answered = await client.post(
            f"/v2/models/{server.model}/infer",
            content=model.body(rows),
            headers={HEADERS["request_id"]: str(rows[0]["id"])},
        )
    except httpx.HTTPError as error:
        found.failed[type(error).__name__] += 1
        return
    latency = time.monotonic() - began
    if answered.status_code != httpx.codes.OK:
        found.failed[f"status {answered.status_code}"] += 1
        return
    try:
        answers = model.answers(answered.content, len(rows), latency)
    except ValueError:
        found.failed["no answer of the protocol"] += 1
        return
    found.pairs += [pair(row, one) for row, one in zip(rows, answers, strict=True)]
