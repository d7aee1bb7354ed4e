"""Network policies in force: every pair of the lab, tried from the caller's side.

About 15 s: some 500 connections, once with the rules and once without, and the agent
frozen, killed and told something new.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from lab.host import Host
from lab.lab import Lab
from tests.cluster.conftest import Cluster
from tests.support import pairs
from tests.support.kube import Kube, wait_until
from tests.support.pairs import KINDS, MODELS, OUTSIDE, Place

AGENT = "policy-agent"
AGENT_PORT = 9477
REMOVE = ["nft", "delete", "table", "inet", "slipway_policy"]
UNBOUND = {"node", OUTSIDE}
"""Whom no egress binds, since they are not pods."""
ANYWHERE = {"prometheus", *UNBOUND}
"""Who may call every pod on every port that lets them in."""
API = {"coredns", "metrics-server", "envoy-gateway"}
"""Who may call ports 443 and 6443 anywhere, where the API server may be."""
WITH_DNS = {
    *MODELS,
    "envoy",
    "envoy-gateway",
    "alertmanager",
    "alert-recorder",
    "model-monitor",
    "model-console",
}
ALLOWED: dict[tuple[str, int], set[str]] = {
    ("coredns", 1053): {*ANYWHERE, *WITH_DNS},
    ("coredns", 9153): {"prometheus"},
    ("metrics-server", 10250): ANYWHERE,
    ("envoy", 10080): ANYWHERE,
    ("envoy", 10443): ANYWHERE,
    ("envoy", 19001): {"prometheus"},
    ("envoy-gateway", 18000): {"envoy"},
    ("envoy-gateway", 18002): {"envoy"},
    ("envoy-gateway", 19001): {"prometheus"},
    **{(name, 8080): {"envoy", "prometheus"} for name in MODELS},
    # Their log shippers' metrics.
    **{(name, 9102): {"prometheus"} for name in MODELS},
    # Open to people by ports of the nodes, so to everybody who may leave a pod.
    ("prometheus", 9090): {"alertmanager", "node", OUTSIDE},
    ("alertmanager", 9093): {*ANYWHERE, "model-console"},
    ("alert-recorder", 9095): {*ANYWHERE, "alertmanager"},
    ("model-monitor", 9300): {"prometheus", "model-console", *MODELS},
    # In the models' namespace, where the gateway may call every pod.
    ("model-monitor", 9301): {*ANYWHERE, "envoy"},
    ("model-console", 9310): {*ANYWHERE, "envoy"},
    ("model-console", 9311): {"prometheus"},
    ("node", 22): UNBOUND,
    ("node", 5000): UNBOUND,
    ("node", 6443): {*ANYWHERE, *API},
    ("node", 9477): ANYWHERE,
    ("node", 10250): {*ANYWHERE, "metrics-server"},
    (OUTSIDE, 443): {"prometheus", "node", *API},
    (OUTSIDE, 8443): {"node"},
}
"""Who may connect to whom, by kind and port; beside these a node to its own pods."""


@dataclass(frozen=True)
class Wired:
    """The lab's places, with listeners and routes for what is outside."""

    lab: Lab
    kube: Kube
    places: list[Place]
    targets: list[tuple[Place, int]]
    """Each port on which a place is reached by others."""

    def one(self, kind: str) -> Place:
        return next(place for place in self.places if place.kind == kind)


@pytest.fixture(scope="module")
def wired(cluster: Cluster) -> Iterator[Wired]:
    cluster.kube.run(
        *("rollout", "status", f"daemonset/{AGENT}", "-n", "kube-system"),
        "--timeout=120s",
    )
    ready = {
        kind: cluster.kube.ready_pods(labels, namespace)
        for kind, (namespace, labels) in KINDS.items()
    }
    assert all(ready.values()), f"not there: {[k for k, v in ready.items() if not v]}"
    lab = Lab()
    places = pairs.places(lab, ready)
    outside = next(place for place in places if place.kind == OUTSIDE)
    ports = [port for kind, port in ALLOWED if kind == OUTSIDE]
    with pairs.outside_programs(lab, outside, ports):
        targets = [
            (place, port)
            for place in places
            for port in sorted(ports if place.kind == OUTSIDE else place.ports())
        ]
        yield Wired(lab, cluster.kube, places, targets)


def expected(source: Place, target: Place, port: int) -> bool:
    if source.kind == "node" and source.node == target.node:
        return True
    return source.kind in ALLOWED.get((target.kind, port), set())


def test_every_pair_that_is_allowed_connects_and_no_other(wired: Wired) -> None:
    found = pairs.matrix(wired.places, wired.targets)
    wrong = [
        f"{source.name} to {target.name}:{port}: {answer}"
        for (source, target, port), answer in found.items()
        if (answer == "open") != expected(source, target, port)
    ]
    connected = list(found.values()).count("open")
    print(f"{connected} pairs connect, {len(found) - connected} do not")
    assert wrong == []
    assert min(connected, len(found) - connected) >= 100
    kinds = {(target.kind, port) for target, port in wired.targets}
    assert set(ALLOWED) - kinds == set(), "in the list, and nobody listens"


def agent(kube: Kube, host: Host) -> Callable[[signal.Signals], None]:
    """Sends a signal to the agent of a host."""
    shown = host.run(["ss", "-Hltnp", f"sport = :{AGENT_PORT}"]).stdout
    process = shown.partition("pid=")[2].partition(",")[0]
    assert process, f"no agent listens on {host.name}"
    return lambda number: host.run(["kill", f"-{number.value}", process]) and None


@contextmanager
def frozen(wired: Wired) -> Iterator[None]:
    """No agent does anything, as if all hung."""
    signals = [agent(wired.kube, host) for host in wired.lab.hosts()]
    try:
        for send in signals:
            send(signal.SIGSTOP)
        yield
    finally:
        for send in signals:
            send(signal.SIGCONT)


def test_without_the_table_every_pair_connects_until_it_is_put_back(
    wired: Wired,
) -> None:
    source, target = wired.one("employment-flask"), wired.one("prometheus")
    assert not source.opens(target.address, 9090)
    with frozen(wired):
        for host in wired.lab.hosts():
            host.run(REMOVE)
        # Whoever is frozen accepts nothing.
        awake = [(place, port) for place, port in wired.targets if port != AGENT_PORT]
        found = pairs.matrix(wired.places, awake)
        shut = [
            f"{source.name} to {target.name}:{port}: {answer}"
            for (source, target, port), answer in found.items()
            if answer != "open"
        ]
        assert shut == [], "something else forbids it"
    started = time.monotonic()
    wait_until(
        lambda: not source.opens(target.address, 9090), 30, "put back", pause=0.1
    )
    print(f"put back after {time.monotonic() - started:.1f} s")


def test_a_killed_agent_leaves_its_rules_and_comes_back(wired: Wired) -> None:
    source, target = wired.one("employment-flask"), wired.one("prometheus")
    for host in wired.lab.hosts():
        agent(wired.kube, host)(signal.SIGKILL)
    assert not source.opens(target.address, 9090)
    assert source.opens(wired.one("coredns").address, 1053)

    def back() -> bool:
        pods = wired.kube.ready_pods(f"app.kubernetes.io/name={AGENT}", "kube-system")
        assert not source.opens(target.address, 9090)
        return len(pods) == len(wired.lab.hosts()) and all(
            wired.one(OUTSIDE).opens(pod["status"]["hostIP"], AGENT_PORT)
            for pod in pods
        )

    # The kubelet waits longer each time it restarts a container, 300 s at most.
    wait_until(back, 330, "agents are back", pause=0.5)


def test_a_new_policy_is_in_force_at_once(wired: Wired) -> None:
    source, target = wired.one("employment-flask"), wired.one("employment-fastapi")
    names = [place.kind for place in (source, target)]
    policies = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"test-{direction.lower()}", "namespace": "models"},
            "spec": {
                "podSelector": {"matchLabels": {"app.kubernetes.io/instance": own}},
                "policyTypes": [direction],
                direction.lower(): [
                    {
                        key: [
                            {
                                "podSelector": {
                                    "matchLabels": {"app.kubernetes.io/instance": peer}
                                }
                            }
                        ],
                        "ports": [{"port": "http"}],
                    }
                ],
            },
        }
        for direction, key, own, peer in (
            ("Egress", "to", names[0], names[1]),
            ("Ingress", "from", names[1], names[0]),
        )
    ]

    def opens() -> bool:
        return source.opens(target.address, 8080)

    assert not opens()
    try:
        wired.kube.apply(*policies)
        started = time.monotonic()
        wait_until(opens, 10, "the pair is allowed", pause=0.1)
        print(f"allowed after {time.monotonic() - started:.1f} s")
        wired.kube.delete(policies[1])
        started = time.monotonic()
        wait_until(lambda: not opens(), 10, "the pair is refused", pause=0.1)
        print(f"refused after {time.monotonic() - started:.1f} s")
    finally:
        wired.kube.delete(*policies)
