"""The agent's table in the real kernel: three namespaces for a node and two pods."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slipway.images.inputs import Debian
from slipway.images.table import images
from tests.support.kube import wait_until
from tests.support.policies import World, namespace, pod, policy
from toolchain import packages

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="makes network namespaces"
)
NODE, A, B = "10.77.0.1", "10.77.0.2", "10.77.0.3"
PORTS = (8080, 9090)
CALL = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.5).close()
    print("open")
except TimeoutError:
    print("silent")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
LISTEN = """
import socket, sys, time
held = [socket.create_server(("0.0.0.0", int(port))) for port in sys.argv[1:]]
print("listening", flush=True)
time.sleep(300)
"""


def nft_words() -> tuple[str, ...]:
    """The image's own `nft`, found with the libraries that the image gets."""
    inputs = images()["policy-agent"].inputs.values()
    names = [i.debian.partition("/")[2] for i in inputs if isinstance(i, Debian)]
    names += ["libgmp10", "libmd0"]  # in the image's base
    folder = packages.unpack(names, suite="bookworm")
    (libraries,) = {str(p.parent) for p in folder.rglob("libnftables.so.1")}
    program = str(folder / "usr/sbin/nft")
    return ("env", f"LD_LIBRARY_PATH={libraries}", program)


@dataclass(frozen=True)
class Place:
    """A network namespace, held by a process that listens."""

    process: subprocess.Popen[str]

    def words(self, words: Sequence[str | Path]) -> list[str]:
        net = f"--net=/proc/{self.process.pid}/ns/net"
        return ["nsenter", net, *map(str, words)]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            self.words(words), capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def call(self, address: str, port: int) -> str:
        """`open`, `silent`, or the error's name."""
        return self.run(sys.executable, "-c", CALL, address, str(port))


@contextmanager
def place() -> Iterator[Place]:
    listen = [sys.executable, "-c", LISTEN, *map(str, PORTS)]
    process = subprocess.Popen(
        ["unshare", "--net", *listen], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        yield Place(process)
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Node:
    """A router with two pods behind cables of their own, as the lab's network has."""

    node: Place
    pods: dict[str, Place]
    nft: Any


@pytest.fixture(scope="module")
def wired() -> Iterator[Node]:
    from policy_agent.nft import Nft

    with ExitStack() as stack:
        node, a, b = (stack.enter_context(place()) for _ in range(3))
        node.run("ip", "link", "set", "lo", "up")
        node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for address, one in ((A, a), (B, b)):
            cable = f"veth{address[-1]}"
            peer = ["peer", "name", "eth0", "netns", str(one.process.pid)]
            node.run("ip", "link", "add", cable, "type", "veth", *peer)
            node.run("ip", "address", "add", f"{NODE}/32", "dev", cable)
            node.run("ip", "link", "set", cable, "up")
            node.run("ip", "route", "add", f"{address}/32", "dev", cable)
            one.run("ip", "link", "set", "lo", "up")
            one.run("ip", "address", "add", f"{address}/32", "dev", "eth0")
            one.run("ip", "link", "set", "eth0", "up")
            one.run("ip", "route", "add", f"{NODE}/32", "dev", "eth0")
            one.run("ip", "route", "add", "default", "via", NODE)
        yield Node(node, {"a": a, "b": b}, Nft(tuple(node.words(nft_words()))))


@pytest.fixture
def open_node(wired: Node) -> Iterator[Node]:
    """The node with no table, before and after."""
    assert wired.pods["a"].call(B, 8080) == "open"
    yield wired
    wired.nft.remove()


def applied(found: World, node: Node) -> Any:
    from policy_agent import nft_text

    table = nft_text.table(found.rulesets()["n1"], "veth*")
    node.nft.apply(table)
    return table


def world(*policies: dict[str, Any]) -> World:
    pods = [pod("a", A, app="a"), pod("b", B, app="b")]
    return World([namespace("here")], pods, list(policies))


def test_what_is_refused_is_said_at_once_and_remembered(open_node: Node) -> None:
    only_9090 = {"ingress": [{"ports": [{"port": 9090}]}]}
    table = applied(world(policy(only_9090, app="b")), open_node)
    assert open_node.pods["a"].call(B, 8080) == "EHOSTUNREACH"
    assert open_node.pods["a"].call(B, 9090) == "open"
    assert open_node.pods["b"].call(A, 8080) == "open"
    (refused,) = open_node.nft.refused(table.mark)
    assert (refused.source, refused.destination) == (A, B)
    assert (refused.protocol, refused.port) == ("TCP", 8080)


def test_egress_holds_towards_the_node_and_probes_pass(open_node: Node) -> None:
    applied(world(policy({"policyTypes": ["Ingress", "Egress"]})), open_node)
    a, b = open_node.pods["a"], open_node.pods["b"]
    assert a.call(NODE, 8080) == "EHOSTUNREACH"
    assert a.call(B, 8080) == "EHOSTUNREACH"
    assert b.call(A, 9090) == "EHOSTUNREACH"
    assert open_node.node.call(A, 8080) == "open", "the kubelet's probes"


def test_a_pod_that_is_not_known_is_let_nowhere(open_node: Node) -> None:
    found = world()
    found.pods.pop()
    applied(found, open_node)
    a, b = open_node.pods["a"], open_node.pods["b"]
    assert b.call(A, 8080) == a.call(B, 8080) == b.call(NODE, 8080) == "silent"
    assert open_node.node.call(B, 8080) == "open"
    applied(world(), open_node)
    assert b.call(A, 8080) == a.call(B, 8080) == "open"


def test_the_table_is_replaced_as_a_whole_and_missed_when_gone(open_node: Node) -> None:
    shut = applied(world(policy({}, app="b")), open_node)
    assert open_node.pods["a"].call(B, 8080) == "EHOSTUNREACH"
    free = applied(world(), open_node)
    assert open_node.pods["a"].call(B, 8080) == "open"
    assert open_node.nft.refused(shut.mark) is None
    assert open_node.nft.refused(free.mark) == []
    open_node.nft.remove()
    assert open_node.nft.refused(free.mark) is None
    open_node.nft.remove()


def test_a_table_that_the_kernel_refuses_changes_nothing(open_node: Node) -> None:
    from policy_agent.nft import NftError
    from policy_agent.nft_text import Table

    good = applied(world(policy({}, app="b")), open_node)
    with pytest.raises(NftError):
        open_node.nft.apply(Table(good.text + "nonsense", "x"))
    assert open_node.pods["a"].call(B, 8080) == "EHOSTUNREACH"


def test_every_construct_is_one_that_the_kernel_knows(open_node: Node) -> None:
    everything = {
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}],
                "ports": [
                    {"protocol": protocol, **more}
                    for protocol in ("TCP", "UDP", "SCTP")
                    for more in ({"port": 53}, {"port": 80, "endPort": 90})
                ],
            },
            {"from": [{"ipBlock": {"cidr": "2001:db8::/32"}}]},
        ],
        "egress": [{"ports": [{"protocol": p} for p in ("TCP", "UDP", "SCTP")]}],
    }
    found = world(policy(everything))
    found.pods[0]["status"]["podIPs"].append({"ip": "2001:db8::a"})
    table = applied(found, open_node)
    assert open_node.nft.refused(table.mark, version=6) == []


def test_the_agent_puts_back_what_somebody_removed(open_node: Node) -> None:
    import threading

    from policy_agent import state
    from policy_agent.agent import Agent

    found = world(policy({}, app="b"))
    seen = state.State()
    agent = Agent(seen, "n1", open_node.nft, "veth*")
    assert agent.problem()
    runs = threading.Thread(target=agent.run)
    runs.start()
    try:
        for kind, items in zip(
            state.KINDS, (found.namespaces, found.pods, found.policies), strict=True
        ):
            seen.replace(kind, items)
        wait_until(lambda: not agent.problem(), 10, "in force", 0.1)
        a = open_node.pods["a"]
        assert a.call(B, 8080) == "EHOSTUNREACH"
        open_node.nft.remove()
        assert a.call(B, 8080) == "open"
        wait_until(lambda: a.call(B, 8080) == "EHOSTUNREACH", 10, "put back", 0.1)
        assert agent.restorations == 1
        seen.update(state.KINDS[2], "DELETED", found.policies[0])
        wait_until(lambda: a.call(B, 8080) == "open", 10, "the policy is gone", 0.1)
    finally:
        agent.stop()
        runs.join()
    assert open_node.nft.refused(agent._table.mark) is not None, "it leaves its rules"
