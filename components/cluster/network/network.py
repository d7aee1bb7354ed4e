"""The VPC of a cluster: subnets in each zone, gateways, endpoints and flow logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from components.cluster.iam.arns import Arns
from components.cluster.iam.subnet_tags import subnet_tags
from components.cluster.iam.tags import tags
from components.cluster.network import cidr_plan
from components.cluster.network.cidr_plan import CidrPlan
from components.cluster.network.flow_logs import VpcFlowLogs
from components.cluster.network.network_settings import ExistingVpc, NetworkSettings
from components.cluster.network.vpc_endpoints import VpcEndpoints

ANYWHERE = "0.0.0.0/0"

Ids = dict[str, pulumi.Output[str]]
"""Ids of subnets by zone."""


@dataclass(frozen=True)
class _Tier:
    """Subnets of one kind and the tables that route their packets, all by zone."""

    subnets: Mapping[str, aws.ec2.Subnet]
    tables: Mapping[str, aws.ec2.RouteTable]
    associations: Mapping[str, aws.ec2.RouteTableAssociation]


class Network(pulumi.ComponentResource):
    """A VPC of its own, or one that exists.

    Creates, unless the VPC exists (then nothing):

    - the VPC with DNS, and a second range for pods if there is one;
    - its default security group without any rule;
    - in each zone a private subnet (nodes, pods, internal load balancers), an intra
      subnet (the control plane's interfaces, endpoints; no way to the internet), a
      public subnet (load balancers, NAT; no public address unless one is asked for) and
      a subnet for pods if there is a range for them;
    - an internet gateway, and NAT gateways with an address each: one in each zone, or
      one; with none there are no public subnets and no internet gateway either;
    - a route table for the private subnets of each zone, one for all public and one for
      all intra subnets;
    - VpcEndpoints and VpcFlowLogs.

    Ids of subnets are outputs that depend on their routes: resources in a subnet are
    created after its routes and deleted before them.
    """

    def __init__(
        self,
        name: str,
        settings: NetworkSettings,
        *,
        cluster: str,
        arns: Arns,
        protect: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`protect`: of the flow logs' key and bucket."""
        super().__init__("slipway:cluster:Network", name, None, opts)
        self._prefix, self._settings = name, settings
        self._cluster, self._arns = cluster, arns
        self._protected = protect
        self.vpc_id: pulumi.Output[str]
        self.private_subnets: Ids = {}
        """Of nodes, and of pods where there is no range for them."""
        self.intra_subnets: Ids = {}
        """Of the control plane's interfaces."""
        self.public_subnets: Ids = {}
        """Of load balancers that face the internet; none without a NAT."""
        if settings.existing:
            self._adopt(settings.existing)
        else:
            self._make()
        self.register_outputs({"vpcId": self.vpc_id})

    def _adopt(self, existing: ExistingVpc) -> None:
        def ids(subnets: Mapping[str, str]) -> Ids:
            ordered = [zone for zone in self._settings.zones if zone in subnets]
            return {zone: pulumi.Output.from_input(subnets[zone]) for zone in ordered}

        self.vpc_id = pulumi.Output.from_input(existing.id)
        self.private_subnets = ids(existing.private_subnets)
        self.intra_subnets = ids(existing.intra_subnets or existing.private_subnets)
        self.public_subnets = ids(existing.public_subnets)

    def _make(self) -> None:
        settings = self._settings
        plan = cidr_plan.plan(
            settings.vpc_cidr,
            settings.zones,
            settings.room_for_zones,
            settings.pod_cidr,
        )
        self._vpc = aws.ec2.Vpc(
            self._prefix,
            cidr_block=str(plan.vpc),
            # Both for endpoints under the services' own names, and for EKS's endpoint.
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags("vpc"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._child = pulumi.ResourceOptions(parent=self._vpc)
        aws.ec2.DefaultSecurityGroup(
            self._prefix,
            vpc_id=self._vpc.id,
            ingress=[],
            egress=[],
            tags=self._tags("default-closed"),
            opts=self._child,
        )
        private = self._tier("private", {z: p.private for z, p in plan.zones.items()})
        intra = self._tier("intra", {z: p.intra for z, p in plan.zones.items()})
        internet = {zone: list[pulumi.CustomResource]() for zone in settings.zones}
        if settings.nat != "none":
            internet = self._internet(plan, private)
        pods = self._pods(plan, private)
        endpoints = VpcEndpoints(
            f"{self._prefix}-endpoints",
            settings.endpoints,
            cluster=self._cluster,
            arns=self._arns,
            perimeter=settings.data_perimeter,
            vpc_id=self._vpc.id,
            vpc_cidrs=[str(plan.vpc), *filter(None, [settings.pod_cidr])],
            subnets=list(_ids(intra).values()),
            route_tables=[table.id for table in _distinct(private, intra)],
            opts=pulumi.ResourceOptions(parent=self._vpc),
        )
        if settings.flow_logs.enabled:
            VpcFlowLogs(
                f"{self._prefix}-flow-logs",
                settings.flow_logs,
                cluster=self._cluster,
                arns=self._arns,
                vpc_id=self._vpc.id,
                protect=self._protected,
                opts=pulumi.ResourceOptions(parent=self._vpc),
            )
        self.vpc_id = self._vpc.id
        self.private_subnets = _ids(
            private,
            {
                z: [*internet[z], *pods.get(z, []), *endpoints.endpoints]
                for z in internet
            },
        )
        self.intra_subnets = _ids(intra)

    def _tags(self, what: str) -> dict[str, str]:
        return tags(self._cluster, f"{self._cluster}-{what}")

    def _tier(self, kind: str, ranges: Mapping[str, IPv4Network]) -> _Tier:
        """Subnets of a kind; the private ones have a route table each."""
        subnets = {
            zone: self._subnet(kind, zone, cidr) for zone, cidr in ranges.items()
        }
        if kind == "private":
            tables = {zone: self._table(f"{kind}-{zone}") for zone in ranges}
        else:
            shared = self._table(kind)
            tables = dict.fromkeys(ranges, shared)
        associations = {
            zone: self._associate(kind, zone, subnet, tables[zone])
            for zone, subnet in subnets.items()
        }
        return _Tier(subnets, tables, associations)

    def _table(self, place: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            f"{self._prefix}-{place}",
            vpc_id=self._vpc.id,
            tags=self._tags(place),
            opts=self._child,
        )

    def _subnet(
        self,
        kind: str,
        zone: str,
        cidr: IPv4Network,
        after: Sequence[pulumi.CustomResource] = (),
    ) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            f"{self._prefix}-{kind}-{zone}",
            vpc_id=self._vpc.id,
            availability_zone=zone,
            cidr_block=str(cidr),
            map_public_ip_on_launch=False,
            tags={
                **self._tags(f"{kind}-{zone}"),
                **subnet_tags(
                    kind,
                    self._cluster,
                    pods_elsewhere=self._settings.pod_cidr is not None,
                ),
            },
            opts=pulumi.ResourceOptions(parent=self._vpc, depends_on=list(after)),
        )

    def _associate(
        self, kind: str, zone: str, subnet: aws.ec2.Subnet, table: aws.ec2.RouteTable
    ) -> aws.ec2.RouteTableAssociation:
        return aws.ec2.RouteTableAssociation(
            f"{self._prefix}-{kind}-{zone}",
            subnet_id=subnet.id,
            route_table_id=table.id,
            opts=pulumi.ResourceOptions(parent=subnet),
        )

    def _internet(
        self, plan: CidrPlan, private: _Tier
    ) -> dict[str, list[pulumi.CustomResource]]:
        """Public subnets, NAT, and the routes to it by zone."""
        gateway = aws.ec2.InternetGateway(
            self._prefix,
            vpc_id=self._vpc.id,
            tags=self._tags("internet"),
            opts=self._child,
        )
        public = self._tier("public", {z: p.public for z, p in plan.zones.items()})
        table = public.tables[next(iter(plan.zones))]
        way_in = self._route("public", table, gateway_id=gateway.id)
        self.public_subnets = _ids(public, {zone: [way_in] for zone in plan.zones})
        zones = list(plan.zones)
        with_nat = zones if self._settings.nat == "per_zone" else zones[:1]
        nats = {
            zone: self._nat(zone, public, [gateway, way_in, public.associations[zone]])
            for zone in with_nat
        }
        return {
            zone: [
                self._route(
                    f"private-{zone}",
                    table,
                    nat_gateway_id=nats.get(zone, nats[zones[0]]).id,
                )
            ]
            for zone, table in private.tables.items()
        }

    def _nat(
        self, zone: str, public: _Tier, after: Sequence[pulumi.CustomResource]
    ) -> aws.ec2.NatGateway:
        name = f"{self._prefix}-nat-{zone}"
        address = aws.ec2.Eip(
            name,
            domain="vpc",
            tags=self._tags(f"nat-{zone}"),
            # The internet gateway cannot be deleted while an address uses it.
            opts=pulumi.ResourceOptions(parent=self._vpc, depends_on=[after[0]]),
        )
        return aws.ec2.NatGateway(
            name,
            allocation_id=address.allocation_id,
            subnet_id=public.subnets[zone].id,
            tags=self._tags(f"nat-{zone}"),
            opts=pulumi.ResourceOptions(parent=self._vpc, depends_on=list(after)),
        )

    def _route(
        self,
        name: str,
        table: aws.ec2.RouteTable,
        *,
        gateway_id: pulumi.Input[str] | None = None,
        nat_gateway_id: pulumi.Input[str] | None = None,
    ) -> aws.ec2.Route:
        return aws.ec2.Route(
            f"{self._prefix}-{name}",
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway_id,
            nat_gateway_id=nat_gateway_id,
            opts=pulumi.ResourceOptions(parent=table),
        )

    def _pods(
        self, plan: CidrPlan, private: _Tier
    ) -> dict[str, list[pulumi.CustomResource]]:
        """Subnets for pods in the second range; they go out as the private ones do."""
        ranges = {z: p.pods for z, p in plan.zones.items() if p.pods}
        if not ranges:
            return {}
        second = aws.ec2.VpcIpv4CidrBlockAssociation(
            f"{self._prefix}-pods",
            vpc_id=self._vpc.id,
            cidr_block=self._settings.pod_cidr,
            opts=self._child,
        )
        subnets = {z: self._subnet("pods", z, c, [second]) for z, c in ranges.items()}
        return {
            zone: [subnet, self._associate("pods", zone, subnet, private.tables[zone])]
            for zone, subnet in subnets.items()
        }


def _distinct(*tiers: _Tier) -> list[aws.ec2.RouteTable]:
    """The tiers' route tables, each once."""
    return list({id(t): t for tier in tiers for t in tier.tables.values()}.values())


def _ids(
    tier: _Tier, after: Mapping[str, Sequence[pulumi.CustomResource]] | None = None
) -> Ids:
    """Ids of the subnets, once all their routes exist."""
    return {
        zone: pulumi.Output.all(
            subnet.id,
            tier.associations[zone].id,
            *[resource.id for resource in (after or {}).get(zone, ())],
        ).apply(_first)
        for zone, subnet in tier.subnets.items()
    }


def _first(ids: Sequence[str]) -> str:
    return ids[0]
