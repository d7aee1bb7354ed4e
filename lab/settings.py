"""The lab's facts: addresses, ports on loopback, how many workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from toolchain.errors import OperatorError

WORKERS_VARIABLE = "SLIPWAY_LAB_WORKERS"
PORT_OFFSET_VARIABLE = "SLIPWAY_LAB_PORT_OFFSET"
MAXIMUM_WORKERS = 60
"""Pods of host i have 198.18.(64+i).0/24, below the services at 198.18.128.0/20."""

# 198.18.0.0/15 is set aside for benchmarks inside one's own walls (RFC 2544), so that
# it names nothing that a host could have meant to reach.
BRIDGE_ADDRESS = "198.18.0.1"
POD_NETWORK = "198.18.64.0/18"
SERVICE_NETWORK = "198.18.128.0/20"
CLUSTER_DNS = "198.18.128.10"
CONTROL_PLANE = "cp1"
REGISTRY_NAME = "registry.lab"


@dataclass(frozen=True)
class Forward:
    """A port on the machine's loopback and where it leads inside the lab."""

    name: str
    port: int
    target_port: int


FORWARDS = (
    Forward("api", 6443, 6443),
    Forward("gateway", 8080, 30080),
    Forward("gateway-tls", 8443, 30443),
    Forward("prometheus", 9090, 30090),
    Forward("alertmanager", 9093, 30093),
    Forward("alerts", 9095, 30095),
    Forward("monitor", 9300, 30096),
    Forward("console", 9310, 30097),
    Forward("registry", 5000, 5000),
)
"""All lead to the control plane's host; the 30000s are NodePorts."""


@dataclass(frozen=True)
class HostSettings:
    """One host's name and addresses."""

    name: str
    address: str
    pod_network: str

    @property
    def mac(self) -> str:
        """A fixed address, so that neighbours' caches survive a reboot."""
        octets = [int(octet) for octet in self.address.split(".")]
        return "02:13:" + ":".join(f"{octet:02x}" for octet in octets)


@dataclass(frozen=True)
class LabSettings:
    """What a person can choose about a lab.

    `workers`: hosts beside the control plane's one, which also takes pods.
    `port_offset`: added to each port on loopback, so that two labs can be up at once.
    `kubernetes`: False boots bare hosts: no programs bound into them, no playbook.
    `packages`: Debian packages that hosts can install beside those of all labs.
    """

    workers: int = 1
    port_offset: int = 0
    kubernetes: bool = True
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= MAXIMUM_WORKERS:
            raise OperatorError(
                f"{self.workers} workers: 0 to {MAXIMUM_WORKERS} are possible "
                f"(environment variable {WORKERS_VARIABLE})"
            )
        highest = max(forward.port for forward in FORWARDS)
        if not -4000 <= self.port_offset <= 65535 - highest:
            raise OperatorError(
                f"port offset {self.port_offset}: -4000 to {65535 - highest} are "
                f"possible (environment variable {PORT_OFFSET_VARIABLE})"
            )

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None
    ) -> LabSettings:
        """The defaults, changed by the SLIPWAY_LAB_* variables that are set."""
        environment = os.environ if environment is None else environment
        return cls(
            workers=_number(environment, WORKERS_VARIABLE, cls.workers),
            port_offset=_number(environment, PORT_OFFSET_VARIABLE, cls.port_offset),
        )

    def with_(self, *, workers: int | None = None) -> LabSettings:
        """Return the same settings with other workers, if given."""
        return self if workers is None else replace(self, workers=workers)

    def ports(self) -> dict[str, int]:
        """Ports on the machine's 127.0.0.1 by service."""
        return {forward.name: forward.port + self.port_offset for forward in FORWARDS}

    def hosts(self) -> list[HostSettings]:
        """The hosts, the control plane's first."""
        names = [CONTROL_PLANE, *(f"w{n}" for n in range(1, self.workers + 1))]
        return [
            HostSettings(name, f"198.18.0.{11 + n}", f"198.18.{64 + n}.0/24")
            for n, name in enumerate(names)
        ]


def _number(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable, "").strip()
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise OperatorError(
            f"{variable}={text}: not a whole number; unset it or give one"
        ) from error
