"""Answers of monitor, Alertmanager and rollout controller, or why there are none."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from prometheus_client import Counter

from model_console import alerts, shape
from model_console.alerts import Alert, AlertsAnswer
from model_console.experiments import ReportAnswer
from model_console.figures import AuditAnswer, ModelAnswer, ModelsAnswer
from model_console.rollouts import RolloutAnswer, RolloutsAnswer
from model_console.settings import Settings

T = TypeVar("T")
MIB = 1 << 20
MONITOR, ALERTMANAGER = "The model monitor", "Alertmanager"
ROLLOUTS = "The rollout controller"
_COUNTED = {MONITOR: "monitor", ALERTMANAGER: "alertmanager", ROLLOUTS: "rollouts"}
"""Names in the metrics."""
OTHER = "answers that it has no such page; is it of an older version?"
CONNECTIONS = 16
"""At the same time, to all together."""


@dataclass(frozen=True)
class Trouble:
    """A part of a page that cannot be shown: who did not answer, and why.

    Both together are a sentence.
    """

    source: str
    reason: str


@dataclass(frozen=True)
class Unknown:
    """The source says that there is no such model, or rollout."""


@dataclass(frozen=True)
class NotAsked:
    """No address of the source was given."""


class _TroubleError(Exception):
    """The reason why there is no answer."""


class _UnknownError(Exception):
    """The server answers, and has no such thing."""


class Sources:
    """Asks for what the pages show. Never raises: what is wrong is a Trouble."""

    def __init__(
        self,
        settings: Settings,
        requests: Counter,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`requests` counts by source and result."""
        self._settings, self._requests = settings, requests
        self._client = httpx.AsyncClient(
            timeout=settings.timeout_seconds,
            limits=httpx.Limits(max_connections=CONNECTIONS),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def models(self) -> ModelsAnswer | Trouble:
        found = await self._monitor(ModelsAnswer, "/api/v1/models")
        return Trouble(MONITOR, OTHER) if isinstance(found, Unknown) else found

    async def model(self, name: str) -> ModelAnswer | Trouble | Unknown:
        return await self._monitor(ModelAnswer, f"/api/v1/models/{quote(name, '')}")

    async def audit(self, limit: int) -> AuditAnswer | Trouble:
        found = await self._monitor(AuditAnswer, f"/api/v1/audit?limit={limit}")
        return Trouble(MONITOR, OTHER) if isinstance(found, Unknown) else found

    @property
    def rolls_out(self) -> bool:
        """Return whether there is a rollout controller to query."""
        return bool(self._settings.rollouts_url)

    async def rollouts(self) -> RolloutsAnswer | Trouble | NotAsked:
        address = self._settings.rollouts_url
        if not address:
            return NotAsked()
        found = await self._ask(RolloutsAnswer, ROLLOUTS, f"{address}/rollouts")
        return Trouble(ROLLOUTS, OTHER) if isinstance(found, Unknown) else found

    async def rollout(self, server: str) -> RolloutAnswer | Trouble | Unknown | None:
        """Return the rollout; None if the controller has not looked at it yet."""
        address = self._settings.rollouts_url
        if not address:
            return Unknown()
        url = f"{address}/rollouts/{quote(server, '')}"
        kind: Any = RolloutAnswer | None
        found: RolloutAnswer | Trouble | Unknown | None
        found = await self._ask(kind, ROLLOUTS, url)
        return found

    async def experiment(self, server: str) -> ReportAnswer | Trouble | Unknown:
        path = f"/api/v1/experiments/{quote(server, '')}"
        return await self._monitor(ReportAnswer, path)

    async def alerts(self) -> AlertsAnswer | Trouble | NotAsked:
        address = self._settings.alertmanager_url
        if not address:
            return NotAsked()
        try:
            raw = await self._json(f"{address}/api/v2/alerts")
            found = shape.read(tuple[Alert, ...], raw)
        except (_TroubleError, _UnknownError, shape.FormError) as error:
            return self._trouble(ALERTMANAGER, error)
        self._requests.labels("alertmanager", "ok").inc()
        return AlertsAnswer(alerts.in_order(found))

    async def _monitor(self, kind: type[T], path: str) -> T | Trouble | Unknown:
        return await self._ask(kind, MONITOR, self._settings.monitor_url + path)

    async def _ask(self, kind: type[T], source: str, url: str) -> T | Trouble | Unknown:
        try:
            found = shape.read(kind, await self._json(url))
        except _UnknownError:
            self._requests.labels(_COUNTED[source], "ok").inc()
            return Unknown()
        except (_TroubleError, shape.FormError) as error:
            return self._trouble(source, error)
        self._requests.labels(_COUNTED[source], "ok").inc()
        return found

    def _trouble(self, source: str, error: Exception) -> Trouble:
        self._requests.labels(_COUNTED[source], "failed").inc()
        if isinstance(error, _UnknownError):
            return Trouble(source, OTHER)
        if isinstance(error, shape.FormError):
            return Trouble(
                source, f"answers in a form that this console does not know: {error}"
            )
        return Trouble(source, str(error))

    async def _json(self, url: str) -> Any:
        seconds = self._settings.timeout_seconds
        try:
            # A server that sends a little again and again would pass httpx's limits.
            async with asyncio.timeout(seconds):
                return _parsed(await self._body(url))
        except (TimeoutError, httpx.TimeoutException):
            raise _TroubleError(f"has not answered within {seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            name = type(error).__name__
            raise _TroubleError(f"cannot be reached ({name})") from None

    async def _body(self, url: str) -> bytes:
        most = self._settings.answer_mib * MIB
        found = bytearray()
        async with self._client.stream("GET", url) as response:
            if response.status_code == HTTPStatus.NOT_FOUND:
                raise _UnknownError
            if response.status_code != HTTPStatus.OK:
                raise _TroubleError(f"answers with status {response.status_code}")
            async for part in response.aiter_bytes():
                found += part
                if len(found) > most:
                    raise _TroubleError(f"answers with more than {most // MIB} MiB")
        return bytes(found)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _TroubleError("answers with something that is not JSON") from None
