"""Endpoints in a VPC for AWS services, so that their traffic stays inside it."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.cluster.iam import endpoint_policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.tags import tags
from components.cluster.network.endpoint_services import (
    ENDPOINT_SERVICES,
    EndpointService,
)
from components.cluster.network.perimeter_settings import DataPerimeter

HTTPS = 443


class VpcEndpoints(pulumi.ComponentResource):
    """Endpoints of AWS services.

    Creates:

    - a gateway endpoint (S3) with a route in each route table;
    - for each other service an interface endpoint with an address in each intra subnet
      and the service's own name in the VPC's DNS;
    - the security group of these, which admits HTTPS from the VPC's ranges only and
      lets nothing out.

    With a data perimeter each endpoint has a policy, but for eks-auth, of which no page
    says that it takes one.
    """

    def __init__(
        self,
        name: str,
        services: Sequence[EndpointService],
        *,
        cluster: str,
        arns: Arns,
        perimeter: DataPerimeter | None,
        vpc_id: pulumi.Input[str],
        vpc_cidrs: Sequence[str],
        subnets: Sequence[pulumi.Input[str]],
        route_tables: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:cluster:VpcEndpoints", name, None, opts)
        self._prefix, self._cluster, self._arns = name, cluster, arns
        self._perimeter = perimeter
        self._vpc_id = vpc_id
        gateways = [n for n in services if ENDPOINT_SERVICES[n].kind == "Gateway"]
        interfaces = [n for n in services if n not in gateways]
        made = [self._gateway(service, route_tables) for service in gateways]
        if interfaces:
            group, rules = self._security_group(vpc_cidrs)
            made += [self._interface(s, subnets, group, rules) for s in interfaces]
        self.endpoints: tuple[aws.ec2.VpcEndpoint, ...] = tuple(made)
        self.register_outputs({})

    def _service(self, service: str) -> str:
        return f"com.amazonaws.{self._arns.region}.{service}"

    def _policy(self, service: EndpointService) -> str | None:
        if self._perimeter is None or not ENDPOINT_SERVICES[service].takes_policy:
            return None
        if service == "s3":
            return endpoint_policies.s3(self._arns, self._perimeter.accounts).json()
        return endpoint_policies.interface(self._arns, service).json()

    def _gateway(
        self, service: EndpointService, route_tables: Sequence[pulumi.Input[str]]
    ) -> aws.ec2.VpcEndpoint:
        return aws.ec2.VpcEndpoint(
            f"{self._prefix}-{service}",
            vpc_id=self._vpc_id,
            service_name=self._service(service),
            vpc_endpoint_type="Gateway",
            policy=self._policy(service),
            route_table_ids=list(route_tables),
            tags=tags(self._cluster, f"{self._cluster}-{service}"),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _interface(
        self,
        service: EndpointService,
        subnets: Sequence[pulumi.Input[str]],
        group: aws.ec2.SecurityGroup,
        rules: Sequence[pulumi.Resource],
    ) -> aws.ec2.VpcEndpoint:
        return aws.ec2.VpcEndpoint(
            f"{self._prefix}-{service}",
            vpc_id=self._vpc_id,
            service_name=self._service(service),
            vpc_endpoint_type="Interface",
            policy=self._policy(service),
            subnet_ids=list(subnets),
            security_group_ids=[group.id],
            private_dns_enabled=True,
            tags=tags(self._cluster, f"{self._cluster}-{service}"),
            # With its rules: a resolved name must be reachable.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(rules)),
        )

    def _security_group(
        self, vpc_cidrs: Sequence[str]
    ) -> tuple[aws.ec2.SecurityGroup, list[pulumi.Resource]]:
        name = f"{self._cluster}-endpoints"
        group = aws.ec2.SecurityGroup(
            self._prefix,
            name=name,
            description="HTTPS from the VPC to endpoints of AWS services",
            vpc_id=self._vpc_id,
            tags=tags(self._cluster, name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        rules: list[pulumi.Resource] = [
            aws.vpc.SecurityGroupIngressRule(
                f"{self._prefix}-from-{cidr}",
                security_group_id=group.id,
                description="HTTPS from the VPC",
                cidr_ipv4=cidr,
                ip_protocol="tcp",
                from_port=HTTPS,
                to_port=HTTPS,
                tags=tags(self._cluster, name),
                opts=pulumi.ResourceOptions(parent=group),
            )
            for cidr in vpc_cidrs
        ]
        return group, rules
