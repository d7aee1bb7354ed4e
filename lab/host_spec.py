"""All that a host's supervisor must know to boot it, kept as one file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.cgroups import Hierarchy
from lab.services import Service
from lab.settings import CONTROL_PLANE, REGISTRY_NAME, HostSettings


@dataclass(frozen=True)
class HostSpec:
    """One host of one lab.

    `lab` is the folder of the lab's state, `folder` the host's one in it; `binds` are
    read-only: places inside the host (without the first /) and folders of the machine.
    """

    host: HostSettings
    all_hosts: tuple[HostSettings, ...]
    lab: Path
    folder: Path
    rootfs: Path
    hierarchies: tuple[Hierarchy, ...]
    binds: dict[str, Path]

    @property
    def others(self) -> list[HostSettings]:
        return [other for other in self.all_hosts if other != self.host]

    @property
    def group(self) -> str:
        """The host's control group within the lab's one."""
        return f"hosts/{self.host.name}"

    @property
    def service(self) -> Service:
        """The host's supervisor."""
        return Service(self.lab, self.folder, "supervisor", "lab.supervisor")

    @property
    def machine_id(self) -> str:
        """machine-id(5): stable over reboots, different in each host and lab."""
        text = f"{self.lab} {self.host.name}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def hosts_file(self) -> str:
        """The host's /etc/hosts: its neighbours and the registry."""
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        for host in self.all_hosts:
            alias = f" {REGISTRY_NAME}" if host.name == CONTROL_PLANE else ""
            lines.append(f"{host.address} {host.name}{alias}")
        return "\n".join(lines) + "\n"

    def text(self) -> str:
        """The file's content; equal texts mean that nothing changed."""
        return json.dumps(asdict(self), default=str, indent=1, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> HostSpec:
        """The inverse of `text`."""
        fields: dict[str, Any] = json.loads(text)
        return cls(
            host=HostSettings(**fields["host"]),
            all_hosts=tuple(HostSettings(**entry) for entry in fields["all_hosts"]),
            lab=Path(fields["lab"]),
            folder=Path(fields["folder"]),
            rootfs=Path(fields["rootfs"]),
            hierarchies=tuple(Hierarchy(**entry) for entry in fields["hierarchies"]),
            binds={where: Path(source) for where, source in fields["binds"].items()},
        )
