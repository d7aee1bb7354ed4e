"""The lab's network: a namespace of its own with one bridge, and a cable to each host.

    python -m lab.network FOLDER   holds the namespace of the lab whose state lies there

It is invisible in the machine's own namespace, and has no route out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import linux
from lab.processes import ProcessRecord
from lab.services import Service
from lab.settings import BRIDGE_ADDRESS, HostSettings
from toolchain import commands
from toolchain.errors import OperatorError

BRIDGE = "lab0"
_INTERFACE_NAME_LIMIT = 15


@dataclass(frozen=True)
class Network:
    """The network of the lab whose state is in `folder`."""

    folder: Path

    @property
    def service(self) -> Service:
        """The process that holds the namespace."""
        return Service(self.folder, self.folder, "network", "lab.network")

    @property
    def holder(self) -> ProcessRecord | None:
        return self.service.process

    def command(self, words: Sequence[str | Path]) -> list[str]:
        """The command that runs `words` inside the lab's network."""
        holder = self.holder
        if holder is None:
            raise OperatorError("the lab's network is down; run `python -m lab up`")
        enter = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        return [*enter, *map(str, words)]

    def up(self) -> bool:
        """Makes namespace and bridge; returns whether there was anything to make."""
        made = self.holder is None
        if made:
            self.service.start(self.folder)
        return made

    def link(self, host: HostSettings, init: int, others: list[HostSettings]) -> None:
        """Plugs a host in, if it is not: `init` is the process that holds its network.

        The other hosts' pods are reached through them, as a datacentre's routers do.
        """
        cable = f"ve-{host.name}"[:_INTERFACE_NAME_LIMIT]
        inside = ["nsenter", f"--net=/proc/{init}/ns/net", "ip"]
        if not self._is_linked(cable, inside):
            ip = self.command(["ip"])
            if self._has(cable, ip):
                commands.run([*ip, "link", "del", cable])
            end = ["peer", "name", "eth0", "address", host.mac, "netns", str(init)]
            commands.run([*ip, "link", "add", cable, "type", "veth", *end])
            commands.run([*ip, "link", "set", cable, "master", BRIDGE, "up"])
        commands.run([*inside, "link", "set", "lo", "up"])
        commands.run(
            [*inside, "address", "replace", f"{host.address}/24", "dev", "eth0"]
        )
        commands.run([*inside, "link", "set", "eth0", "up"])
        routes = [("default", BRIDGE_ADDRESS)]
        routes += [(other.pod_network, other.address) for other in others]
        for target, via in routes:
            commands.run([*inside, "route", "replace", target, "via", via])

    def _is_linked(self, cable: str, inside: list[str]) -> bool:
        return self._has(cable, self.command(["ip"])) and self._has("eth0", inside)

    @staticmethod
    def _has(device: str, ip: list[str]) -> bool:
        lines = commands.run([*ip, "-oneline", "link"]).splitlines()
        return device in (line.split(": ")[1].split("@")[0] for line in lines)


def main(folder: Path) -> None:
    """Becomes the process that holds the namespace."""
    network = Network(folder)
    lock = network.service.hold()
    linux.unshare(linux.Namespaces.NETWORK)
    for words in (
        ["link", "set", "lo", "up"],
        ["link", "add", BRIDGE, "type", "bridge"],
        ["address", "add", f"{BRIDGE_ADDRESS}/24", "dev", BRIDGE],
        ["link", "set", BRIDGE, "up"],
    ):
        commands.run(["ip", *words])
    network.service.ready()
    os.set_inheritable(lock, True)
    # The same process, so its record stays true, in a hundredth of the memory.
    os.execvp("sleep", ["sleep", "infinity"])  # noqa: S606


if __name__ == "__main__":
    main(Path(sys.argv[1]))
