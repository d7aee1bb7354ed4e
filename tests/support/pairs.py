"""Real connection attempts between all network namespaces of the lab."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.host import Host
from lab.lab import Lab
from lab.network import Network
from lab.settings import BRIDGE_ADDRESS

MODELS = (
    "employment",
    "employment-fastapi",
    "employment-flask",
    "employment-django",
)
KINDS: dict[str, tuple[str, str]] = {
    "envoy": ("slipway-gateway", "app.kubernetes.io/name=envoy"),
    "envoy-gateway": ("slipway-gateway", "control-plane=envoy-gateway"),
    "prometheus": ("slipway-monitoring", "app.kubernetes.io/name=prometheus"),
    "alertmanager": ("slipway-monitoring", "app.kubernetes.io/name=alertmanager"),
    "alert-recorder": ("slipway-monitoring", "app.kubernetes.io/name=alert-recorder"),
    "metrics-server": ("kube-system", "app.kubernetes.io/name=metrics-server"),
    "model-monitor": ("models", "app.kubernetes.io/name=model-monitor"),
    "model-console": ("models", "app.kubernetes.io/name=model-console"),
    "coredns": ("kube-system", "app.kubernetes.io/name=coredns"),
    **{name: ("models", f"app.kubernetes.io/instance={name}") for name in MODELS},
}
"""Namespace and labels of each kind of pod that is tried; others are left alone."""
OUTSIDE = "outside"
CALLERS = 8
"""Places that call at the same time."""
CALL = """
import errno, json, select, socket, sys, time
wanted, seconds = json.load(sys.stdin)
answers, waiting = {}, {}
for address, port in wanted:
    one = socket.socket()
    one.setblocking(False)
    code = one.connect_ex((address, port))
    if code in (0, errno.EINPROGRESS):
        waiting[one] = f"{address}:{port}"
    else:
        answers[f"{address}:{port}"] = errno.errorcode[code]
        one.close()
end = time.monotonic() + seconds
while waiting and time.monotonic() < end:
    _, ready, _ = select.select([], waiting, [], max(0, end - time.monotonic()))
    for one in ready:
        code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        answers[waiting.pop(one)] = errno.errorcode[code] if code else "open"
        one.close()
answers.update(dict.fromkeys(waiting.values(), "silent"))
print(json.dumps(answers))
"""
"""Connects to all at once: [[address, port], ...] and seconds on standard input."""
LISTEN = """
import socket, sys, time
held = [socket.create_server((sys.argv[1], int(port))) for port in sys.argv[2:]]
print("listening", flush=True)
time.sleep(600)
"""


@dataclass(frozen=True)
class Place:
    """A network namespace of the lab: a pod's, a node's, or what is outside."""

    kind: str
    name: str
    address: str
    node: str
    """Of a pod: where it runs; of a node: its own name."""
    enter: tuple[str, ...]
    """The command that enters it."""

    def ports(self) -> set[int]:
        """Where something listens for more than itself."""
        shown = self._run(["ss", "-Hltn"])
        local = [line.split()[3].rpartition(":") for line in shown.splitlines()]
        return {
            int(port)
            for address, _, port in local
            if not address.startswith(("127.", "[::1]"))
        }

    def call(
        self, targets: Sequence[tuple[str, int]], seconds: float = 2.0
    ) -> dict[tuple[str, int], str]:
        """`open`, `silent` or the error's name, by target."""
        text = json.dumps([targets, seconds])
        found = json.loads(self._run([sys.executable, "-I", "-S", "-c", CALL], text))
        return {
            (address, port): found[f"{address}:{port}"] for address, port in targets
        }

    def opens(self, address: str, port: int) -> bool:
        return self.call([(address, port)])[address, port] == "open"

    def _run(self, words: Sequence[str], text: str = "") -> str:
        done = subprocess.run(
            [*self.enter, *words],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{self.name}: {done.stderr}"
        return done.stdout


def _pod_namespaces(host: Host) -> dict[str, str]:
    """The file of each pod's network namespace, by the pod's address."""
    init = host.init
    assert init, f"host {host.name} is down"
    found = {}
    for file in Path(f"/proc/{init.pid}/root/run/netns").iterdir():
        words = ["nsenter", f"--net={file}", "ip", "-4", "-oneline", "address"]
        shown = subprocess.run(words, capture_output=True, text=True, check=False)
        for address in re.findall(r"eth0 +inet ([0-9.]+)/", shown.stdout):
            found[address] = str(file)
    return found


def places(lab: Lab, ready: Mapping[str, list[dict[str, Any]]]) -> list[Place]:
    """All pods of `ready` (by kind), the nodes, and the network around them."""
    holder = Network(lab.folder).holder
    assert holder
    enter = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
    found = [Place(OUTSIDE, OUTSIDE, BRIDGE_ADDRESS, "", enter)]
    files = {}
    for host in lab.hosts():
        spec = host.spec()
        assert host.init
        assert spec
        net = f"--net=/proc/{host.init.pid}/ns/net"
        address = spec.host.address
        found.append(Place("node", host.name, address, host.name, ("nsenter", net)))
        files |= _pod_namespaces(host)
    for kind, pods in ready.items():
        for pod in pods:
            address, node = pod["status"]["podIP"], pod["spec"]["nodeName"]
            enter = ("nsenter", f"--net={files[address]}")
            name = pod["metadata"]["name"]
            found.append(Place(kind, name, address, node, enter))
    return found


Pair = tuple[Place, Place, int]


def matrix(
    places: Sequence[Place], targets: Sequence[tuple[Place, int]]
) -> dict[Pair, str]:
    """The answer of each target to each place that is not the target itself."""

    def answers(source: Place) -> dict[Pair, str]:
        others = [(t, p) for t, p in targets if t.address != source.address]
        found = source.call([(t.address, p) for t, p in others])
        return {(source, t, p): found[t.address, p] for t, p in others}

    # The kernel sends few refusals a second, so callers wait, and better together.
    with ThreadPoolExecutor(CALLERS) as pool:
        parts = list(pool.map(answers, places))
    return {pair: answer for part in parts for pair, answer in part.items()}


@contextmanager
def outside_programs(lab: Lab, outside: Place, ports: Sequence[int]) -> Iterator[None]:
    """Outside, for a while: programs that listen, and routes to the pods."""
    routes = []
    for host in lab.hosts():
        spec = host.spec()
        assert spec
        routes.append((spec.host.pod_network, spec.host.address))
    words = [sys.executable, "-c", LISTEN, outside.address, *map(str, ports)]
    process = subprocess.Popen(
        [*outside.enter, *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        for network, via in routes:
            route = ["ip", "route", "replace", network, "via", via]
            subprocess.run([*outside.enter, *route], check=True)
        yield
    finally:
        for network, _ in routes:
            route = ["ip", "route", "del", network]
            subprocess.run([*outside.enter, *route], check=False)
        process.kill()
        process.communicate()
