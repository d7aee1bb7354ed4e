"""The objects as last seen, and who follows them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pod_parts.api_client import Api
from pod_parts.api_server import ApiError, ExpiredError, Object
from policy_agent import objects
from policy_agent.compiler import Compiler
from policy_agent.log import log
from policy_agent.rules import Ruleset

RETRY_SECONDS = (0.2, 5.0)
"""The first and the longest pause after a failure."""


@dataclass(frozen=True)
class Kind:
    """A kind of object, and what is kept of one."""

    name: str
    path: str
    keep: Callable[[Object], Any]


KINDS = (
    Kind("namespaces", "/api/v1/namespaces", objects.namespace),
    Kind("pods", "/api/v1/pods", objects.pod),
    Kind(
        "networkpolicies",
        "/apis/networking.k8s.io/v1/networkpolicies",
        objects.policy,
    ),
)


class State:
    """The known objects; `changed` is set when the rules may change."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.version = 0
        self.changed_at = time.monotonic()
        self.lock = threading.Lock()
        self._held: dict[str, dict[tuple[str, str], Any]] = {}

    def replace(self, kind: Kind, items: list[Object]) -> None:
        """After a list: what is not in it is gone."""
        found = {_key(item): kind.keep(item) for item in items}
        found = {key: value for key, value in found.items() if value is not None}
        with self.lock:
            if self._held.get(kind.name) != found:
                self._held[kind.name] = found
                self._note()

    def update(self, kind: Kind, event: str, item: Object) -> None:
        """After an event of a watch."""
        value = None if event == "DELETED" else kind.keep(item)
        key = _key(item)
        with self.lock:
            held = self._held[kind.name]
            if held.get(key) == value:
                return
            if value is None:
                del held[key]
            else:
                held[key] = value
            self._note()

    def _note(self) -> None:
        self.version += 1
        self.changed_at = time.monotonic()
        self.changed.set()

    @property
    def is_complete(self) -> bool:
        """Whether every kind was listed once; before, rules would let too much in."""
        with self.lock:
            return len(self._held) == len(KINDS)

    def ruleset(self, node: str) -> tuple[Ruleset, int]:
        """The node's rules and the version of the state that they are of."""
        with self.lock:
            namespaces = {n.name: n for n in self._held["namespaces"].values()}
            pods = list(self._held["pods"].values())
            policies = list(self._held["networkpolicies"].values())
            version = self.version
        return Compiler(pods, namespaces, policies).ruleset(node), version


def _key(item: Object) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def follow(api: Api, kind: Kind, state: State, failed: Callable[[], None]) -> None:
    """Keeps one kind up to date for ever; a server that is away is asked again."""
    version = ""
    pause = RETRY_SECONDS[0]
    while True:
        try:
            if not version:
                items, version = api.list(kind.path)
                state.replace(kind, items)
            for event, item in api.watch(kind.path, version):
                version = item["metadata"]["resourceVersion"]
                if event != "BOOKMARK":
                    state.update(kind, event, item)
            pause = RETRY_SECONDS[0]
        except ExpiredError:
            version = ""
        except (ApiError, KeyError, TypeError, ValueError) as error:
            failed()
            log(f"{kind.name} cannot be followed: {error}", level="warning")
            # All that was misread is read again.
            version = "" if not isinstance(error, ApiError) else version
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)
            pause = min(2 * pause, RETRY_SECONDS[1])
