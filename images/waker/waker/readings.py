"""Reads the counters of pods from their /metrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from waker.idleness import Reading
from waker.log import log
from waker.settings import Model

ANSWERED, INFLIGHT = "model_requests_total", "model_inflight"
"""The common metrics of our server and the adapters (images/model_server/README.md)."""
READ_SECONDS = 3.0
"""For one pod, whatever it sends; what it began to parse may end later."""
MOST_BYTES = 4 << 20
MOST_LINES = 1000
"""With one of the two names; a line for each model, version and status is ordinary."""
LONGEST_LINE = 2048
_LONGEST_REASON = 200


def reading(text: str) -> Reading | None:
    """The sums over all models of one pod; None if the text lacks one of both metrics.

    Any error of the parser's if what it says of them is not Prometheus text: ValueError
    usually, and others. ValueError if it says too much.

    A counter that has not counted yet may be missing, a gauge that is missing says
    that this is another kind of server.
    """
    sums = {ANSWERED: 0.0, INFLIGHT: math.nan}
    # The parser takes 40 us for a line, and a page may have thousands of others.
    lines = [it for it in text.split("\n") if it.startswith((ANSWERED, INFLIGHT))]
    if len(lines) > MOST_LINES:
        raise ValueError(f"{len(lines)} lines, more than {MOST_LINES}")
    if any(len(it) > LONGEST_LINE for it in lines):
        raise ValueError(f"a line of more than {LONGEST_LINE} characters")
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
        # httpx's own limit begins anew with each byte.
        return await asyncio.wait_for(_read(client, url), READ_SECONDS)
    except (httpx.HTTPError, TimeoutError):
        return None
    except Exception as error:  # noqa: BLE001, whatever one pod does is its own
        log(
            f"a pod's metrics cannot be read: {error!r}"[:_LONGEST_REASON],
            level="warning",
            model=model.name,
            address=address,
        )
        return None


async def _read(client: httpx.AsyncClient, url: str) -> Reading | None:
    # Uncompressed: a few bytes could become more than there is memory.
    plain = {"accept-encoding": "identity"}
    async with client.stream("GET", url, headers=plain, timeout=READ_SECONDS) as answer:
        if answer.is_error:
            return None
        content = bytearray()
        async for part in answer.aiter_raw():
            content += part
            if len(content) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES} bytes")
    # Not in the event loop: the pod decides how much there is to parse.
    return await asyncio.to_thread(reading, content.decode())
