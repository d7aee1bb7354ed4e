"""What the catalogue has about instance types, accelerators, versions and prices.

Memory is in MiB, local disks in GB as AWS counts them, bandwidth in Gbit/s, prices in
US dollars an hour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

_MIG = re.compile(r"(\d+)g\.(\d+)gb")


@dataclass(frozen=True)
class MigProfile:
    """A MIG profile of a GPU: slices of compute, memory, and how many fit."""

    name: str
    instances: int
    """Number of this profile's slices that fit on one GPU."""

    @property
    def slices(self) -> int:
        """Slices of compute: 3 of `3g.40gb`."""
        return self._number(1)

    @property
    def memory_gib(self) -> int:
        """Memory according to the name, in GB: 40 for `3g.40gb`."""
        return self._number(2)

    def _number(self, group: int) -> int:
        found = _MIG.fullmatch(self.name)
        if found is None:
            raise ValueError(f"{self.name!r} does not name a MIG profile")
        return int(found[group])


@dataclass(frozen=True)
class Accelerator:
    """A GPU's facts that do not depend on the instance type."""

    model: str
    compute_capability: str
    mig_profiles: tuple[MigProfile, ...] = ()
    """Empty: it cannot be cut, or the catalogue does not know how."""
    minimum_driver: str | None = None
    """The first driver that cuts it into MIG slices; None: not known, or it cannot."""


@dataclass(frozen=True)
class Gpu:
    """The GPUs of an instance type; all are alike."""

    model: str
    """`H100`; names of the accelerators' table."""
    manufacturer: str
    count: int
    """Devices that software sees: a part of a GPU counts as one."""
    memory: int
    """Memory of each device, in MiB."""
    partition: float = 1.0
    """The part of a GPU that each device is: 0.125 of an L4 on g6f.large."""


@dataclass(frozen=True)
class Neuron:
    """The Trainium or Inferentia chips of an instance type."""

    model: str
    count: int
    cores: int
    """Of each chip."""
    memory: int
    """Memory of each chip, in MiB."""


@dataclass(frozen=True)
class LocalNvme:
    """Local disks, which do not outlive the instance."""

    count: int
    size_gb: int
    """Of each."""


@dataclass(frozen=True)
class InstanceType:
    """An EC2 instance type."""

    name: str
    vcpus: int
    memory: int
    """MiB."""
    architecture: str
    """`x86_64` or `arm64`."""
    gpu: Gpu | None
    neuron: Neuron | None
    efa_interfaces: int
    """Elastic Fabric Adapters it can have; 0: none."""
    network_cards: int
    network_gbps: float
    """Sustained bandwidth of the whole instance, which is not the sum of its cards."""
    max_interfaces: int
    """Network interfaces of the default card: those that pods get addresses from."""
    addresses_per_interface: int
    """IPv4."""
    local_nvme: LocalNvme | None
    placement: tuple[str, ...]
    """Strategies of placement groups: cluster, partition, spread."""
    usage_classes: tuple[str, ...]
    """on-demand, spot, capacity-block."""
    bare_metal: bool
    nvswitch: bool
    """Whether its GPUs are joined by NVSwitch and its host needs the fabric manager."""

    @property
    def family(self) -> str:
        """`p5` of p5.48xlarge."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Price:
    """On-demand price of an instance: Linux, shared hosts, without taxes."""

    usd_per_hour: float
    as_of: date
    source: str


@dataclass(frozen=True)
class EksVersion:
    """A Kubernetes version of EKS and the last days of its support."""

    name: str
    standard_until: date
    extended_until: date


@dataclass(frozen=True)
class VcpuQuota:
    """The quota of EC2 that limits the vCPUs of a class of instance families."""

    name: str
    """`G and VT`, as in the quota's own name."""
    code: str


@dataclass(frozen=True)
class CountQuota:
    """The quota of something else: its service and code."""

    service: str
    code: str


@dataclass(frozen=True)
class KnownBad:
    """A driver branch and instance families that do not work together."""

    families: tuple[str, ...]
    drivers: str
    """The branch: what the driver's version begins with."""
    feature: str
    """The affected feature: `efa` or `mig`."""
    reason: str
    fix: str
    source: str
    date: date
