"""One rollout in the cluster: read, and given orders by the controller's protocol."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from rollout import objects, protocol
from rollout.actions import WriteRoute, WriteStatus
from rollout.facts import Ready
from rollout.objects import ENTRY_KEY, ENTRY_LABEL, Names
from rollout.protocol import ReadClock, ReadRoute, ReadStatus, Result
from rollout.record import Entry
from rollout.seen import Route
from rollout.settings import Settings
from rollout.status import Status

from components import naming
from components.delivery.rollout_controller import PORT
from slipway.cluster import pod_exec
from slipway.cluster.kube_api import KubeApi, KubeApiError, Object
from slipway.rollouts import chain

ASK = (
    "import sys, urllib.request as u; "
    "sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=5).read())"
)

READS = 5


class NoRolloutError(KubeApiError):
    """The cluster has no rollout of the model server."""


@dataclass(frozen=True)
class State:
    """The cluster's state of a rollout at one time."""

    settings: Settings
    status: Status | None
    """None: the controller has not begun."""
    route: Route
    look: dict[str, Any] | None
    """The controller's last verdict, reason and judgements. None: unknown."""
    unseen: str = ""
    """Why that is not known."""


@dataclass
class Live:
    """One model server's rollout; not for several threads."""

    api: KubeApi
    names: Names
    clock: Callable[[], float] = time.time
    _route: Object = field(default_factory=dict)
    """The object as last read: a write sends the whole object."""
    _status: Object = field(default_factory=dict)

    def state(self) -> State:
        """Return the whole state; NoRolloutError if there is none."""
        config_map = self._get(self.names.settings)
        settings, places = objects.read_settings(config_map)
        route = self._get(self.names.route)
        status = self._read_status()
        look, unseen = self._look()
        return State(
            settings,
            status,
            objects.read_route(route, places, objects.read_rules(config_map)),
            look,
            unseen,
        )

    def settings(self) -> Settings:
        """Return the stack's settings of it."""
        found, _ = objects.read_settings(self._get(self.names.settings))
        return found

    def ready(self) -> Ready:
        """Return the ready replicas of both revisions; 0 without a Deployment."""
        settings, places = objects.read_settings(self._get(self.names.settings))
        canary, stable = (
            self.api.get(self.names.deployment(places[it].deployment)) or {}
            for it in (settings.canary, settings.stable)
        )
        return Ready(
            *(
                int((it.get("status") or {}).get("readyReplicas") or 0)
                for it in (canary, stable)
            )
        )

    def status(self) -> Status | None:
        """Return the controller's progress."""
        return self._read_status()

    def entries(self) -> list[Entry]:
        """The decisions, the oldest first, and those that wait for the ledger too."""
        entries = [json.loads(one["data"][ENTRY_KEY]) for one in self._entry_objects()]
        status = self._read_status()
        waiting = status.pending if status else ()
        return [*chain.in_order((*waiting, *entries)).values()]

    def record(self) -> tuple[Status | None, list[Object]]:
        """The status and the ConfigMaps of all entries, as they were at one time.

        KubeApiError if the controller writes whenever they are read.
        """
        status = self._read_status()
        for _ in range(READS):
            found, before = self._entry_objects(), status
            status = self._read_status()
            if _newest(before) == _newest(status):
                return status, found
        raise KubeApiError(
            f"{self.names.server}: decisions came during all {READS} reads of the "
            "record; run it again"
        )

    def _entry_objects(self) -> list[Object]:
        path = f"{self.names.config_maps}?labelSelector={ENTRY_LABEL}"
        return self.api.items(f"{path}={self.names.server}")

    def run(self, actor: Generator[Any, Any, Result]) -> Result:
        """An order's calls, one after the other."""
        return protocol.run(actor, self._answer)

    def _answer(self, call: Any) -> Any:
        match call:
            case ReadStatus():
                self._status = self._get(self.names.status)
                return self._parsed(self._status)
            case ReadRoute():
                self._route = self._get(self.names.route)
                return objects.read_route(self._route, {}, ())
            case ReadClock():
                return int(self.clock())
            case WriteStatus():
                wanted = objects.with_status(self._status, call.status, call.version)
                return self.api.replace(self.names.status, wanted)
            case WriteRoute(weights=None):
                wanted = objects.with_route(self._route, call, {})
                return self.api.replace(self.names.route, wanted)
        raise TypeError(f"an order does not {call}")

    def _read_status(self) -> Status | None:
        status, _ = self._parsed(self._get(self.names.status))
        return status

    def _parsed(self, config_map: Object) -> tuple[Status | None, str]:
        """The status and its resourceVersion; KubeApiError for what is none."""
        try:
            return objects.read_status(config_map)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as it:
            raise KubeApiError(
                f"{self.names.server}: {self.names.status} is not what the controller "
                f"writes ({it!r}): keep a copy; if its data are removed, the rollout "
                "begins anew"
            ) from it

    def _get(self, path: str) -> Object:
        found = self.api.get(path)
        if found is None:
            raise NoRolloutError(
                f"{self.names.server} has no rollout in the cluster ({path} is not "
                "there): set rollout in its settings and run `slipway up`"
            )
        return found

    def _look(self) -> tuple[dict[str, Any] | None, str]:
        """Return the controller's own page, requested from within its pod."""
        try:
            pod = self._controller()
            url = f"http://127.0.0.1:{PORT}/rollouts/{self.names.server}"
            done = pod_exec.run(
                self.api,
                namespace=self.names.namespace,
                pod=pod,
                container=naming.ROLLOUT_CONTROLLER,
                command=["python3", "-c", ASK, url],
            )
        except KubeApiError as error:
            return None, str(error)
        if done.status:
            return None, f"the controller does not answer: {done.errors[-200:]}"
        found: dict[str, Any] | None = json.loads(done.output)
        if not found:
            return None, "the controller has not looked yet"
        # The rest is read from the cluster itself, with or without the controller.
        found.pop("rollout", None)
        return found, ""

    def _controller(self) -> str:
        selector = f"app.kubernetes.io/instance={naming.ROLLOUT_CONTROLLER}"
        pods = self.api.items(
            f"/api/v1/namespaces/{self.names.namespace}/pods?labelSelector={selector}"
        )
        for pod in pods:
            conditions = (pod.get("status") or {}).get("conditions") or ()
            ready = {c["type"] for c in conditions if c["status"] == "True"}
            if "Ready" in ready and "deletionTimestamp" not in pod["metadata"]:
                name: str = pod["metadata"]["name"]
                return name
        raise KubeApiError("the rollout controller has no ready pod")


def _newest(status: Status | None) -> tuple[str, str]:
    """The newest decision, and the one that is being carried out."""
    if status is None:
        return "", ""
    return status.head, status.intent.id if status.intent else ""
