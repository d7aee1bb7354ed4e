"""Reads containers' logs through the API server, several at a time."""

from __future__ import annotations

import heapq
import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Thread
from urllib.parse import urlencode

from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.logs.line import Line, parse
from slipway.logs.places import Place

AT_ONCE = 8
WAITING_LINES = 1000
"""Followed lines that wait to be printed; no more are read before one is."""
Wanted = Callable[[Line], bool]


@dataclass(frozen=True)
class Span:
    """The requested part of each container's log."""

    since_seconds: int | None = None
    """Written at most this long ago; None: since the container's start."""
    newest: int | None = None
    """At most so many lines, the newest."""

    def query(self, container: str, **more: str) -> str:
        asked = {"container": container, "timestamps": "true", **more}
        if self.since_seconds is not None:
            asked["sinceSeconds"] = str(self.since_seconds)
        if self.newest is not None:
            asked["tailLines"] = str(self.newest)
        return urlencode(asked)


@dataclass
class Read:
    """Lines in the order of time, and the logs that could not be read, with reasons."""

    lines: list[Line] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)


def read(
    api: KubeApi, places: Sequence[Place], span: Span, wanted: Wanted = lambda _: True
) -> Read:
    """The wanted lines of all places; what is not wanted is not kept in memory."""
    found = Read()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for lines, unread in pool.map(lambda it: _read(api, it, span, wanted), places):
            found.lines += lines
            found.unread |= unread
    found.lines.sort(key=lambda it: it.time)
    return found


def _read(
    api: KubeApi, place: Place, span: Span, wanted: Wanted
) -> tuple[list[Line], dict[str, str]]:
    lines: list[Line] = []
    unread: dict[str, str] = {}
    name = f"{place.namespace}/{place.pod}/{place.container}"
    runs = [("before", {"previous": "true"})] if place.has_previous else []
    for run, more in (*runs, ("", {})):
        path = f"{place.path}?{span.query(place.container, **more)}"
        try:
            with api.stream(path) as answer:
                lines += filter(wanted, _lines(place, answer.iter_lines()))
        except KubeApiError as error:
            unread[f"{name} {run}".rstrip()] = str(error)
    if span.newest is not None:
        lines = heapq.nlargest(span.newest, lines, key=lambda it: it.time)
    return lines, unread


def _lines(place: Place, texts: Iterable[str]) -> Iterator[Line]:
    for text in texts:
        if text:
            yield parse(text, place.source, place.pod, place.container)


def follow(
    api: KubeApi, places: Sequence[Place], span: Span
) -> Iterator[Line | KubeApiError]:
    """Lines as they are written, until all containers have ended.

    A log that cannot be read any more gives its error. Pods that start later are not
    among them.
    """
    arrived: queue.Queue[Line | KubeApiError | None] = queue.Queue(WAITING_LINES)

    def pass_on(place: Place) -> None:
        path = f"{place.path}?{span.query(place.container, follow='true')}"
        try:
            with api.stream(path, silence_seconds=None) as answer:
                for line in _lines(place, answer.iter_lines()):
                    arrived.put(line)
        except KubeApiError as error:
            arrived.put(error)
        finally:
            arrived.put(None)

    for place in places:
        Thread(target=pass_on, args=(place,), daemon=True).start()
    left = len(places)
    while left:
        if (line := arrived.get()) is None:
            left -= 1
        else:
            yield line
