"""A cluster for tests of node pools: its pods, its nodes, and observations."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from components import catalog
from slipway.doctor import node_size, pending, quantity
from tests.support import simulated_types
from tests.support.kube import wait_until
from tests.support.node_autoscaler import NodeAutoscaler
from tests.support.pending_work import NAMESPACE

Kind = tuple[str, str, str]
"""Pool, instance type and capacity type of a node."""


@dataclass
class Autoscaled:
    """The cluster of an autoscaler with pools."""

    scaler: NodeAutoscaler
    overlays: list[dict[str, Any]]
    """The NodeOverlays of the pools."""
    most: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    """Most that was ever installed in a pool, by resource."""

    def kinds(self) -> Counter[Kind]:
        """Number of nodes of each kind; keeps account of what is installed."""
        labels = [node["metadata"]["labels"] for node in self.scaler.nodes()]
        kinds = Counter(
            (
                node["karpenter.sh/nodepool"],
                node["node.kubernetes.io/instance-type"],
                node["karpenter.sh/capacity-type"],
            )
            for node in labels
        )
        now: dict[str, dict[str, Decimal]] = {}
        for pool, type_, _ in kinds.elements():
            has = self._installed(pool, type_)
            now[pool] = quantity.add(now.get(pool, {}), has)
        for pool, installed in now.items():
            self.most[pool] = quantity.largest(self.most.get(pool, {}), installed)
        return kinds

    def _installed(self, pool: str, type_: str) -> dict[str, Decimal]:
        has = simulated_types.resources(catalog.instance_type(type_))
        for overlay in self.overlays:
            chosen = {r["values"][0] for r in overlay["spec"]["requirements"]}
            if chosen == {pool, type_}:
                has |= overlay["spec"]["capacity"]
        return {**quantity.resources(has), "nodes": Decimal(1)}

    def number_of(self, pool: str) -> int:
        """Nodes of a pool."""
        return sum(n for (name, _, _), n in self.kinds().items() if name == pool)

    def pods(self, deployment: str) -> set[str]:
        """Which pods of a deployment run."""
        selector = f"app.kubernetes.io/name={deployment}"
        found = self.scaler.kube.ready_pods(selector, NAMESPACE)
        return {pod["metadata"]["uid"] for pod in found}

    def ready(self) -> dict[str, int]:
        """Ready pods by deployment; looks at the nodes too."""
        self.kinds()
        return {
            found["metadata"]["name"]: found["status"].get("readyReplicas", 0)
            for found in self.scaler.kube.get("deployments", namespace=NAMESPACE)
        }

    def wait_for(self, wanted: Mapping[str, int], seconds: float) -> float:
        """Waits until so many pods of each deployment are ready; seconds it took."""
        start = time.monotonic()

        def are_ready() -> bool:
            try:
                return wanted.items() <= self.ready().items()
            except AssertionError:  # Of kubectl: the API server is too busy.
                return False

        try:
            wait_until(are_ready, seconds, f"ready pods {wanted}", pause=2)
        except AssertionError as error:
            found = [str(error), *self._findings()]
            raise AssertionError("\n".join(found)) from error
        return time.monotonic() - start

    def _findings(self) -> list[str]:
        """What to look at where pods do not get what they ask for."""
        kube = self.scaler.kube
        waiting = pending.explain(
            kube.get("pods", namespace=NAMESPACE),
            kube.get("nodepools"),
            node_size.of_type,
            self.overlays,
        )
        log = self.scaler.log(lines=5)
        return [f"ready: {self.ready()}", f"{self.kinds()}", *map(str, waiting), log]
