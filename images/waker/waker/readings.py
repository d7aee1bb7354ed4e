"""What pods count, read from their /metrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from waker.idleness import Reading
from waker.settings import Model

ANSWERED, INFLIGHT = "model_requests_total", "model_inflight"
"""The common figures of our server and the adapters (images/model_server/README.md)."""
READ_SECONDS = 3.0
_LONGEST_BYTES = 4 << 20


def reading(text: str) -> Reading | None:
    """The sums over all models of one pod; None if the text has not both figures.

    ValueError if what it says of them is no Prometheus text.

    A counter that has not counted yet may be missing, a gauge that is missing says
    that this is another kind of server.
    """
    sums = {ANSWERED: 0.0, INFLIGHT: math.nan}
    # The parser takes 40 us for a line, and a page may have thousands of others.
    lines = [it for it in text.split("\n") if it.startswith((ANSWERED, INFLIGHT))]
    for family in text_string_to_metric_families("\n".join(lines)):
        for name, _, value, *_ in family.samples:
            if name in sums:
                known = sums[name]
                sums[name] = value if math.isnan(known) else known + value
    if math.isnan(sums[INFLIGHT]):
        return None
    return Reading(sums[ANSWERED], sums[INFLIGHT])


async def read(
    client: httpx.AsyncClient, model: Model, addresses: Iterable[str]
) -> dict[str, Reading | None]:
    """One round, by address; None where a pod could not be read."""
    chosen = sorted(addresses)
    found = await asyncio.gather(*(_one(client, model, one) for one in chosen))
    return dict(zip(chosen, found, strict=True))


async def _one(client: httpx.AsyncClient, model: Model, address: str) -> Reading | None:
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{model.metrics_port}{model.metrics_path}"
    try:
        answer = await client.get(url, timeout=READ_SECONDS)
        if answer.is_error or len(answer.content) > _LONGEST_BYTES:
            return None
        # Not on the loop's time: whoever answers decides how much there is to parse.
        return await asyncio.to_thread(reading, answer.text)
    except (httpx.HTTPError, ValueError):
        return None
