"""Carries out the protocol's calls at the API server and Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pod_parts.api_client import Api
from pod_parts.api_server import ApiError, Object
from rollout import experiment, monitor, objects, prometheus, protocol
from rollout.actions import Refused, WriteEntry, WriteRoute, WriteStatus
from rollout.counts import Series
from rollout.facts import Ready
from rollout.log import log
from rollout.objects import Names, Place
from rollout.protocol import (
    Read,
    ReadClock,
    ReadCounts,
    ReadRoute,
    ReadStatus,
    Result,
    Write,
)
from rollout.record import Entry
from rollout.seen import Route
from rollout.settings import Settings
from rollout.status import Status

EXISTS = "AlreadyExists"
"""Reason of the 409 for an object that is there. A quota that others change at the same
time answers 409 too, and the object is not there."""
LOST = (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)


@dataclass
class Cluster:
    """One model server's rollout; not for several threads."""

    api: Api
    metrics: Api
    names: Names
    clock: Callable[[], float] = time.time
    monitor: Api | None = None
    """Client of the model monitor, for gates of cohorts."""
    status: Status | None = None
    """As it was read last."""
    seen: tuple[Settings, Route] | None = None
    """As they were read last; None while they cannot be read."""
    plan: Object | None = None
    """Of the experiment that the rollout carries out, for readers."""
    counts: Mapping[str, Series] | None = None
    """Of the last look; None if it needed none."""
    _route: Object = field(default_factory=dict)
    """As it was read last: a write sends the whole object."""
    _status: Object = field(default_factory=dict)
    _places: dict[str, Place] = field(default_factory=dict)
    _rules: list[Object] = field(default_factory=list)
    """The rules that the stack wants."""

    def run(self, actor: Generator[Read | Write, Any, Result]) -> Result:
        """An actor's calls, one after the other; ApiError or SettingsError ends it."""
        return protocol.run(actor, self.answer)

    def answer(self, call: Read | Write) -> Any:
        if isinstance(call, WriteStatus | WriteRoute | WriteEntry):
            return self._write(call)
        if isinstance(call, ReadRoute):
            return self._read_route()
        if isinstance(call, ReadStatus):
            self._status = self.api.get(self.names.status)
            found = objects.read_status(self._status)
            self.status = found[0]
            return found
        if isinstance(call, ReadCounts):
            self.counts = self._counts(call)
            return self._ready(call.settings), self.counts
        if isinstance(call, ReadClock):
            return int(self.clock())
        return self._read_settings()

    def _read_settings(self) -> Settings:
        found = self.api.get(self.names.settings)
        settings, self._places = objects.read_settings(found)
        self._rules = objects.read_rules(found)
        try:
            self.plan = experiment.read(found["data"])
        except ValueError as error:  # no weight depends on it
            self.plan = None
            log("no plan of an experiment", "warning", error=str(error))
        return settings

    def _read_route(self) -> Route:
        """Services become revisions by the places, which change with the settings."""
        self.seen = self.counts = None
        self._route = self.api.get(self.names.route)
        settings = self._read_settings()
        route = objects.read_route(self._route, self._places, self._rules)
        self.seen = (settings, route)
        return route

    def _ready(self, settings: Settings) -> Ready | None:
        try:
            return Ready(
                self._replicas(self._places[settings.canary]),
                self._replicas(self._places[settings.stable]),
            )
        except ApiError as error:
            log("ready replicas could not be read", "warning", error=str(error))
            return None

    def _replicas(self, place: Place) -> int:
        """Ready replicas of a Deployment; 0 if there is none."""
        try:
            found = self.api.get(self.names.deployment(place.deployment))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return 0
            raise
        return int(found.get("status", {}).get("readyReplicas", 0))

    def _counts(self, call: ReadCounts) -> Mapping[str, Series] | None:
        """Of all gates that can be read: harm that they prove counts without the rest.

        None if there is none.
        """
        now = int(self.clock())
        found = self._gateway(call, now)
        cohorts = self._cohorts(call, now)
        if found is None and not cohorts:
            return None
        return {**(found or {}), **cohorts}

    def _gateway(self, call: ReadCounts, now: int) -> Mapping[str, Series] | None:
        """Return the counts of gates from Prometheus; None if they cannot be read."""
        try:
            return prometheus.read_counts(self.metrics, call.settings, call.since, now)
        except ApiError as error:
            log("counts could not be read", "warning", error=str(error))
            return None

    def _cohorts(self, call: ReadCounts, now: int) -> Mapping[str, Series]:
        """Return the counts of the monitor's gates; without them, the rollout holds."""
        if self.monitor is None:
            return {}
        try:
            return monitor.read_counts(self.monitor, call.settings, call.since, now)
        except ApiError as error:
            log("the monitor could not be read", "warning", error=str(error))
            return {}

    def _write(self, call: Write) -> bool | Refused:
        """Return whether the write succeeded; False after a conflict."""
        if isinstance(call, WriteStatus):
            log(call.why, server=self.names.server)
            wanted = objects.with_status(self._status, call.status, call.version)
            return self._put("PUT", self.names.status, wanted)
        if isinstance(call, WriteRoute):
            log("route", server=self.names.server, weights=call.weights)
            wanted = objects.with_route(self._route, call, self._places, self._rules)
            return self._put("PUT", self.names.route, wanted)
        return self._record(call.entry)

    def _record(self, entry: Entry) -> bool | Refused:
        """Return False if the ledger has it already, Refused if it did not take it."""
        fields = {"server": self.names.server, "entry": entry["id"]}
        log("entry", **fields)
        try:
            self.api.ask("POST", self.names.config_maps, self.names.entry(entry))
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT and EXISTS in str(error):
                return False
            log("the entry was not written", "warning", **fields, error=str(error))
            return Refused(str(error))
        return True

    def _put(self, method: str, path: str, body: Object) -> bool:
        try:
            self.api.ask(method, path, body)
        except ApiError as error:
            if error.status in LOST:
                return False
            raise
        return True
