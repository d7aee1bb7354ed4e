"""The control loop: reads the models' state and does the next step for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import httpx

from pod_parts.api_server import ApiError
from waker import readings
from waker.cluster import Cluster
from waker.decision import Step, decide
from waker.kept import CALM_SECONDS, Kept
from waker.log import log
from waker.settings import Model

ROUND_SECONDS = 1.0
URGENT_SECONDS = 0.25
"""Between two rounds while requests wait."""
SETTLE_SECONDS = 10.0
"""Time for the gateway to notice a change of endpoints."""
SILENT_SECONDS = 15.0
"""Without a round for so long the waker is not ready."""


class Keeper:
    """All models of the waker."""

    def __init__(
        self, cluster: Cluster, models: Sequence[Model], settle: float = SETTLE_SECONDS
    ) -> None:
        self.kept = {model.port: Kept(model) for model in models}
        self.errors = 0
        self.rounds = 0
        self.looked_at = 0.0
        """When the last round ended well."""
        self._cluster, self._settle = cluster, settle
        self._client = httpx.AsyncClient(trust_env=False)
        self._urgent = asyncio.Event()
        self._leaving = False
        self._calm_at = 0.0
        self._failing = False
        self._given_up: set[str] = set()
        """Orphans that could not be woken, so that each is logged once."""

    @property
    def is_ready(self) -> bool:
        """Return whether every model at zero replicas is covered, as last seen."""
        fresh = time.monotonic() - self.looked_at < SILENT_SECONDS
        bare = any(k.asleep and k.covered_since is None for k in self.kept.values())
        return self.rounds > 0 and fresh and (self._leaving or not bare)

    def request_round(self) -> None:
        """A request waits: look now."""
        self._urgent.set()

    async def run(self) -> None:
        """Rounds until it is cancelled."""
        while True:
            await self.round()
            waiting = any(
                k.buffer.waiting and not k.addresses for k in self.kept.values()
            )
            pause = URGENT_SECONDS if waiting else ROUND_SECONDS
            try:
                await asyncio.wait_for(self._urgent.wait(), pause)
            except TimeoutError:
                continue
            self._urgent.clear()

    async def round(self) -> None:
        """Looks at everything once, and does one step for each model."""
        try:
            await self._look()
            # All at once: what was seen is soon old.
            await asyncio.gather(*(self._step(kept) for kept in self.kept.values()))
        except ApiError as error:
            self.errors += 1
            if not self._failing:
                log(f"the API server: {error}", level="error")
            self._failing = True
            return
        self._failing = False
        self.rounds += 1
        self.looked_at = time.monotonic()

    async def leave(self, orphaned: bool) -> None:
        """Before the end: no request comes to this waker any more, none is lost.

        orphaned: no other waker follows, so that all models are woken for good.
        """
        self._leaving = True
        for kept in self.kept.values():
            name = kept.model.name
            try:
                if orphaned and kept.asleep:
                    await self._cluster.scale(name, kept.model.replicas)
                    log("woken, because no other waker would", model=name)
                await self._cluster.uncover(name)
            except ApiError as error:
                log(f"leaving: {error}", level="error", model=name)

    async def close(self) -> None:
        await self._client.aclose()

    async def _look(self) -> None:
        found, orphans = await self._cluster.look(
            kept.model.name for kept in self.kept.values()
        )
        now = time.monotonic()
        for kept in self.kept.values():
            kept.see(found[kept.model.name], now)
        for name in orphans:
            await self._wake_orphan(name)
        if now - self._calm_at < CALM_SECONDS:
            return
        self._calm_at = now
        awake = [kept for kept in self.kept.values() if not kept.asleep]
        rounds = await asyncio.gather(
            *(readings.read(self._client, k.model, k.addresses) for k in awake)
        )
        for kept, pods in zip(awake, rounds, strict=True):
            kept.idleness.observe(time.monotonic(), pods)

    async def _wake_orphan(self, name: str) -> None:
        """It slept, and the settings say no longer that it may.

        Where its Deployment is being deleted, the right to scale it went first. The
        models that are left must not wait for that.
        """
        try:
            await self._cluster.scale(name, 1)
        except ApiError as error:
            if name not in self._given_up:
                log(f"not woken: {error}", level="warning", model=name)
            self._given_up.add(name)
            return
        self._given_up.discard(name)
        log("woken, for it may not sleep any more", model=name)

    async def _step(self, kept: Kept) -> None:
        now = time.monotonic()
        seen = kept.seen(now)
        if seen is None:
            return
        step, model = decide(seen, now, self._settle), kept.model
        if self._leaving and step is not Step.WAKE:
            return
        if step is Step.COVER:
            await self._cluster.cover(model)
        elif step is Step.UNCOVER:
            await self._cluster.uncover(model.name)
        elif step is Step.SLEEP:
            await self._cluster.scale(model.name, 0)
        elif step is Step.WAKE:
            await self._cluster.scale(model.name, model.replicas)
            kept.woken(now)
        if step is not Step.NOTHING:
            log(step.value, model=model.name, waiting=seen.waiting)
