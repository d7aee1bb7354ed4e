"""Models that sleep, in the lab, for a while: a stack of their own beside the lab's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from examples.demo_rollout.lab_stack import SMALL
from slipway.engine.results import StackResult
from tests.cluster.conftest import Cluster
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack

STACK = "models.sleepy"
WAKE_SECONDS = 150
"""Of 25 at once, on two cores that do everything; one alone takes 3 s."""
LONGEST_SECONDS = WAKE_SECONDS + 10
IDLE = {"after_seconds": 15, "wake_seconds": WAKE_SECONDS}


def names(count: int) -> list[str]:
    return [f"sleepy-{number:02}" for number in range(count)]


def server(name: str, *, sleeps: bool = True) -> dict[str, Any]:
    """Arguments of the employment model, served once more."""
    return {
        **SMALL,
        "model": "employment",
        "model_image": "employment",
        "route": {"prefix": f"/{name}/v1"},
        "scaling": {**SMALL["scaling"], **({"idle": IDLE} if sleeps else {})},
        "lifecycle": {
            "longest_request_seconds": LONGEST_SECONDS,
            "drain_seconds": LONGEST_SECONDS,
            "grace_seconds": LONGEST_SECONDS + 15,
        },
        "alerts": {"window_seconds": 60, "for_seconds": 5},
    }


@dataclass(frozen=True)
class Sleepy:
    """The models, as callers and the API server see them."""

    cluster: Cluster
    stack: OwnStack

    def up(self, names: Iterable[str], awake: str = "", **more: Any) -> StackResult:
        servers = {name: server(name, sleeps=name != awake) | more for name in names}
        return self.stack.up(models=servers)

    def url(self, name: str) -> str:
        return f"{self.cluster.urls['gateway']}/{name}/v1/infer"

    def replicas(self) -> dict[str, int]:
        """Of each, as asked for."""
        return {
            one["metadata"]["name"]: one["spec"]["replicas"]
            for one in self.cluster.kube.get("deployment")
            if one["metadata"]["name"].startswith("sleepy-")
        }

    def asleep(self, *names: str) -> None:
        """Waits until these are, or all."""

        def all_are() -> bool:
            found = self.replicas()
            return not any(found[name] for name in names or found)

        wait_until(all_are, 180, "they sleep", 0.2)

    def wakers(self) -> list[Any]:
        """Their pods, also those that end."""
        selector = "app.kubernetes.io/name=waker"
        words = ("get", "pods", "-n", "models", "-l", selector, "-o", "json")
        pods: list[Any] = json.loads(self.cluster.kube.run(*words).stdout)["items"]
        return pods

    def call(self, name: str, body: bytes) -> tuple[int, float, Any]:
        """Status, seconds and content."""
        started = time.monotonic()
        answer = httpx.post(self.url(name), content=body, timeout=LONGEST_SECONDS)
        return answer.status_code, time.monotonic() - started, answer.text

    def call_all(self, names: list[str], body: bytes) -> list[tuple[int, float, Any]]:
        """At once."""
        with ThreadPoolExecutor(len(names)) as pool:
            return list(pool.map(lambda name: self.call(name, body), names))
