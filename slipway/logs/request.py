"""One request by its id: at the gateway, at the server, and in the prediction log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.serving.args.model_server_args import ModelServerArgs
from components.serving.models_settings import ModelsSettings
from components.serving.settings.request_settings import MONITOR
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.logs import places, record
from slipway.logs.line import Line
from slipway.logs.places import Place
from slipway.logs.reading import Span, read
from slipway.logs.record import Records

GATEWAY_FLUSH_SECONDS = 10
"""Envoy writes its access log this much later.
https://www.envoyproxy.io/docs/envoy/latest/operations/cli#cmdoption-file-flush-interval-msec"""
ENDED = "logs of pods that have ended are gone, and the kubelet rotates long ones"


WITHOUT_MONITOR = (
    "record: no model of this stack has `monitor`, so that no monitor could be asked; "
    "records are in the pods, or at prediction_log.sink"
)


@dataclass(frozen=True)
class Traced:
    """Lines about a request, and why others may be missing."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Trace:
    """Follows requests to one model of a stack."""

    api: KubeApi
    settings: ModelsSettings
    servers: dict[str, ModelServerArgs]
    since_seconds: int
    limit: int

    def follow(self, identity: str) -> Traced:
        """What is known of the request; KubeApiError if no place can be asked."""
        asked = [
            *places.of_gateway(self.api, self.settings),
            *places.of_model(self.api, self.settings, self.servers),
        ]
        span = Span(since_seconds=self.since_seconds)
        found = read(self.api, asked, span, lambda line: line.concerns(identity))
        notes = [f"{name} cannot be read: {why}" for name, why in found.unread.items()]
        there = {line.source for line in found.lines}
        absent = [it for it in ("gateway", "server") if it not in there]
        notes += [self._absent(it, asked) for it in absent]
        records, more = self._records(identity)
        lines = sorted((*found.lines, *records.lines), key=lambda line: line.time)
        return Traced(tuple(lines), (*notes, *more))

    def _absent(self, source: str, asked: Sequence[Place]) -> str:
        pods = {place.pod for place in asked if place.source == source}
        minutes = f"{self.since_seconds / 60:.3g} min"
        looked = f"{source}: not in the last {minutes} of {len(pods)} pods; "
        if source == "gateway":
            return looked + (
                f"lines come up to {GATEWAY_FLUSH_SECONDS} s late, the caller may not "
                f"have come through the gateway, and {ENDED}"
            )
        return looked + (
            "a busy server writes a line for some requests only "
            "(MODEL_SERVER_REQUEST_LINES_PER_SECOND), a refused request never came to "
            f"one, and {ENDED}"
        )

    def _records(self, identity: str) -> tuple[Records, list[str]]:
        models = sorted({args.served(name) for name, args in self.servers.items()})
        watched = {it.model for it in self.settings.watched}
        if not watched:
            return Records(), [WITHOUT_MONITOR]
        since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=self.since_seconds)
        namespace = self.settings.platform.namespace
        try:
            found = record.find(
                self.api,
                namespace,
                identity,
                models=models,
                since=since,
                limit=self.limit,
            )
        except KubeApiError as error:
            return Records(), [f"record: the monitor cannot be asked: {error}"]
        return found, list(self._remarks(found))

    def _remarks(self, found: Records) -> Iterator[str]:
        shown = sum(line.source == "record" for line in found.lines)
        if found.rows > shown:
            yield f"record: {shown} of {found.rows} rows are shown (--limit)"
        if found.waiting:
            yield (
                f"record: in {', '.join(found.waiting)}, which the monitor reads in "
                "its next cycle"
            )
        elif not found.rows:
            yield f"record: not in {found.searched}; {self._reason_for_absence()}"

    def _reason_for_absence(self) -> str:
        logs = {name: args.prediction_log for name, args in self.servers.items()}
        lost = [name for name, log in logs.items() if log.sink != MONITOR]
        if lost:
            return f"{', '.join(lost)}: prediction_log.sink is not {MONITOR}"
        seconds = max(log.file_seconds for log in logs.values())
        return (
            f"a server finishes a file after {seconds} s or when it is full, and then "
            f"it is sent; after that the monitor reads it within "
            f"{self.settings.monitor.cycle_seconds} s; records that a full queue "
            "dropped are counted as prediction_log_dropped_total"
        )
