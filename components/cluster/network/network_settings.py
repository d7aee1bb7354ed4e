"""Settings of the network; cidr_plan.py plans its addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.cluster.network.cidr import (
    CARRIER,
    Cidr,
    NamedRange,
    is_private,
    overlap,
)
from components.cluster.network.cidr_plan import (
    LARGEST_VPC,
    SMALLEST_POD_RANGE,
    SMALLEST_VPC,
)
from components.cluster.network.endpoint_services import (
    ENDPOINT_SERVICES,
    EndpointService,
    needed_without_nat,
)
from components.cluster.network.perimeter_settings import DataPerimeter
from components.setting_types import Whole
from components.settings import Problem, Settings, refuse

_ZONE = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9][a-z]")
_VPC_ID = re.compile(r"vpc-[0-9a-f]{8}([0-9a-f]{9})?")
_SUBNET_ID = re.compile(r"subnet-[0-9a-f]{8}([0-9a-f]{9})?")
LOG_RETENTION = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096)
"""Days that CloudWatch Logs takes, up to three years. API reference,
PutRetentionPolicy."""


def _zone(value: str) -> str:
    if not _ZONE.fullmatch(value):
        refuse(
            "not the name of an availability zone",
            "give one like eu-central-1a; IDs (euc1-az2), local zones and regions are "
            "not accepted",
        )
    return value


def _vpc_id(value: str) -> str:
    if not _VPC_ID.fullmatch(value):
        refuse("not a VPC ID", "give one like vpc-0123456789abcdef0")
    return value


def _subnet_id(value: str) -> str:
    if not _SUBNET_ID.fullmatch(value):
        refuse("not a subnet ID", "give one like subnet-0123456789abcdef0")
    return value


def _retention(value: int) -> int:
    if value not in LOG_RETENTION:
        known = ", ".join(map(str, LOG_RETENTION))
        refuse(
            "CloudWatch Logs does not accept this number of days",
            f"give one of: {known}",
        )
    return value


Zone = Annotated[str, AfterValidator(_zone)]
"""Name of an availability zone."""
SubnetId = Annotated[str, AfterValidator(_subnet_id)]
"""Id of a subnet that exists."""
LogRetentionDays = Annotated[Whole, Field(ge=1, le=1096), AfterValidator(_retention)]
"""Days for which CloudWatch keeps a log."""


class ExistingVpc(Settings):
    """A VPC that others made: it is used as it is, and nothing in it is changed.

    Its private subnets need a route to AWS's API (a NAT or endpoints), and the tags
    that docs/how-to/network-and-storage.md lists.
    """

    id: Annotated[str, AfterValidator(_vpc_id)]
    """Id of the VPC."""
    cidr: Cidr
    """Its address range, for the overlap checks."""
    secondary_cidrs: tuple[Cidr, ...] = ()
    """Its further ranges."""
    private_subnets: dict[Zone, SubnetId]
    """Subnet of the nodes and pods by zone; exactly the zones of the network."""
    intra_subnets: dict[Zone, SubnetId] = Field(default={}, validate_default=True)
    """Subnet of the control plane's interfaces by zone; private_subnets if none."""
    public_subnets: dict[Zone, SubnetId] = Field(default={}, validate_default=True)
    """Subnet of load balancers that face the internet, by zone."""

    def contradictions(self) -> Iterator[Problem]:
        """One subnet for two zones, and zones that differ between the kinds."""
        for kind in ("private_subnets", "intra_subnets", "public_subnets"):
            subnets: dict[str, str] = getattr(self, kind)
            zone_of: dict[str, str] = {}
            for zone, subnet in subnets.items():
                if subnet in zone_of:
                    yield Problem(
                        path=f"{kind}.{zone}",
                        value=subnet,
                        reason=f"{zone_of[subnet]} has the same subnet, and a subnet "
                        "is in one zone only",
                        fix=f"give the subnet in {zone}",
                    )
                zone_of.setdefault(subnet, zone)
            if subnets and set(subnets) != set(self.private_subnets):
                yield Problem(
                    path=kind,
                    value=sorted(subnets),
                    reason="its zones are not those of private_subnets, which are "
                    f"{', '.join(sorted(self.private_subnets))}",
                    fix="give one subnet for each of these zones",
                )


class FlowLogs(Settings):
    """A record of each connection in the VPC, accepted or rejected, encrypted."""

    enabled: bool = True
    """Whether connections are recorded."""
    destination: Literal["log_group", "bucket"] = "log_group"
    """CloudWatch, which is searchable immediately, or S3 at a tenth of the price."""
    traffic: Literal["all", "reject", "accept"] = "all"
    """Which connections are recorded."""
    interval_seconds: Literal[60, 600] = 600
    """Aggregation interval of a record, in seconds; 60 gives more records, which cost
    more."""
    retention_days: LogRetentionDays = 90
    """After this many days a record is deleted."""


_OURS = (
    "cidr",
    "room_for_zones",
    "pod_cidr",
    "nat",
    "endpoints",
    "data_perimeter",
    "flow_logs",
)
"""Settings of a new VPC."""


class NetworkSettings(Settings):
    """The VPC: made over the zones by a fixed plan of addresses, or one that exists."""

    zones: tuple[Zone, ...]
    """Availability zones, at least two. Their order determines the address ranges: add
    new zones at the end only."""
    cidr: Cidr | None = None
    """Range of a new VPC, from /16 to /21. It can never be changed."""
    existing: ExistingVpc | None = None
    """An existing VPC to use instead of creating one (cidr)."""
    room_for_zones: Literal[3, 6] = 3
    """Number of zones that the address plan supports; a change replaces all subnets."""
    pod_cidr: Cidr | None = None
    """A second range of the VPC for pods only, from 100.64.0.0/10, /16 to /22, where
    the company's addresses are scarce. It is not reachable from outside of the VPC."""
    nat: Literal["per_zone", "single", "none"] = "per_zone"
    """Internet access: a NAT gateway in each zone, a single one (cheaper, but the
    failure of its zone cuts off all), or none, and then no public subnets either."""
    endpoints: tuple[EndpointService, ...] = tuple(ENDPOINT_SERVICES)
    """AWS services with endpoints in the VPC. s3 is free; the others cost per hour and
    zone."""
    data_perimeter: DataPerimeter | None = None
    """Policies of the endpoints. Default: none; `{}` allows only the account's own
    buckets."""
    flow_logs: FlowLogs = FlowLogs()
    """Record of connections."""
    on_premises_cidrs: tuple[Cidr, ...] = ()
    """Ranges that are reached through a VPN, Direct Connect or peering: none may
    overlap the VPC."""

    @property
    def makes_vpc(self) -> bool:
        """Return whether the stack creates the VPC."""
        return self.existing is None

    @property
    def vpc_cidr(self) -> str:
        """The VPC's first range, made or existing."""
        if self.existing:
            return self.existing.cidr
        assert self.cidr is not None  # contradictions() refuses it
        return self.cidr

    def ranges(self, path: str = "") -> list[NamedRange]:
        """The VPC's ranges, with their paths below `path`."""
        under = f"{path}." if path else ""
        if self.existing:
            more = self.existing.secondary_cidrs
            return [
                NamedRange(f"{under}existing.cidr", self.existing.cidr),
                *(
                    NamedRange(f"{under}existing.secondary_cidrs.{i}", cidr)
                    for i, cidr in enumerate(more)
                ),
            ]
        named = ((f"{under}cidr", self.cidr), (f"{under}pod_cidr", self.pod_cidr))
        return [NamedRange(where, cidr) for where, cidr in named if cidr]

    def contradictions(self) -> Iterator[Problem]:
        """Report wrong zones, invalid ranges, and a VPC without routes to AWS."""
        yield from self._zones()
        if self.existing:
            yield from self._of_existing(self.existing)
        elif self.cidr is None:
            yield Problem(
                path="cidr",
                value=None,
                reason="no address range is given",
                fix="give the range of a new VPC, like 10.20.0.0/16, or existing",
            )
        else:
            yield from self._cidr(self.cidr)
            yield from self._internet_access_problems()
        ranges = self.ranges()
        if self.makes_vpc and len(ranges) == 2:
            yield from overlap(ranges[1], ranges[:1])
        for index, cidr in enumerate(self.on_premises_cidrs):
            yield from overlap(NamedRange(f"on_premises_cidrs.{index}", cidr), ranges)
        for index, name in enumerate(self.endpoints):
            if name in self.endpoints[:index]:
                yield Problem(
                    path=f"endpoints.{index}",
                    value=name,
                    reason="it is given twice, and a service has one private name",
                    fix="give each once",
                )

    def _zones(self) -> Iterator[Problem]:
        for index, zone in enumerate(self.zones):
            if zone in self.zones[:index]:
                yield Problem(
                    path=f"zones.{index}",
                    value=zone,
                    reason="it is given twice: two subnets would be in the same zone",
                    fix="give each zone once",
                )
        if len(set(self.zones)) < 2:
            yield Problem(
                path="zones",
                value=list(self.zones),
                reason="EKS requires subnets in at least two zones",
                fix="give two or more; a pool may still use only one",
            )
        if self.makes_vpc and len(self.zones) > self.room_for_zones:
            more = "set room_for_zones: 6 before the first apply (it moves all), or "
            yield Problem(
                path="zones",
                value=list(self.zones),
                reason=f"the address plan has room for {self.room_for_zones} zones",
                fix=f"{more if self.room_for_zones < 6 else ''}use fewer zones",
            )

    def _of_existing(self, existing: ExistingVpc) -> Iterator[Problem]:
        for name in _OURS:
            if name in self.model_fields_set:
                yield Problem(
                    path=name,
                    value=getattr(self, name),
                    reason="the VPC already exists, and nothing in it is created or "
                    "changed",
                    fix=f"remove {name}, or remove existing",
                )
        if set(existing.private_subnets) != set(self.zones):
            yield Problem(
                path="existing.private_subnets",
                value=sorted(existing.private_subnets),
                reason=f"its zones are not the network's: {', '.join(self.zones)}",
                fix="give one subnet for each zone, or leave zones out",
            )

    def _cidr(self, cidr: str) -> Iterator[Problem]:
        if not LARGEST_VPC <= IPv4Network(cidr).prefixlen <= SMALLEST_VPC:
            yield Problem(
                path="cidr",
                value=cidr,
                reason=f"AWS accepts no VPC larger than /{LARGEST_VPC}, and in one "
                f"smaller than /{SMALLEST_VPC} public subnets are too small for load "
                "balancers",
                fix=f"give a range from /{LARGEST_VPC} to /{SMALLEST_VPC}",
            )
        elif not is_private(cidr):
            yield Problem(
                path="cidr",
                value=cidr,
                reason="these are public addresses, which nodes and pods could no "
                "longer reach",
                fix="give a range within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or "
                "100.64.0.0/10",
            )
        if self.pod_cidr is None:
            return
        pods = IPv4Network(self.pod_cidr)
        if not pods.subnet_of(CARRIER) or not (
            LARGEST_VPC <= pods.prefixlen <= SMALLEST_POD_RANGE
        ):
            yield Problem(
                path="pod_cidr",
                value=self.pod_cidr,
                reason=f"AWS accepts a second range from {CARRIER} with any first "
                f"range, and the address plan needs /{LARGEST_VPC} to "
                f"/{SMALLEST_POD_RANGE}",
                fix="give one like 100.64.0.0/16",
            )

    def _internet_access_problems(self) -> Iterator[Problem]:
        lacking = [name for name in needed_without_nat() if name not in self.endpoints]
        if self.nat == "none" and lacking:
            yield Problem(
                path="endpoints",
                value=list(self.endpoints),
                reason="without a NAT gateway, nodes and controllers reach AWS only "
                f"through VPC endpoints, and these are missing: {', '.join(lacking)}",
                fix=f"add {', '.join(lacking)}, or set nat: single",
            )
