"""Route tables, routes, their associations, VPC endpoints and flow logs."""

from __future__ import annotations

from typing import Any

from tests.support.aws import rules
from tests.support.aws.account import Account
from tests.support.aws.convert import given, pascal
from tests.support.aws.handler import (
    Change,
    Handler,
    Made,
    NotFoundError,
    Properties,
    RefusedError,
)
from tests.support.aws.tagging import ec2_specifications, set_ec2_tags

TARGETS = {"gatewayId": "GatewayId", "natGatewayId": "NatGatewayId"}
"""Where a route may lead to."""


class SecondRange(Handler):
    type = "aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation"
    required = frozenset({"vpcId", "cidrBlock"})
    taggable = False

    def create(self, aws: Account, new: Properties) -> Made:
        made = aws.client("ec2").associate_vpc_cidr_block(
            VpcId=new["vpcId"], CidrBlock=new["cidrBlock"]
        )
        return Made(made["CidrBlockAssociation"]["AssociationId"])

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        vpcs = aws.client("ec2").describe_vpcs(VpcIds=[state["vpcId"]])["Vpcs"]
        for found in vpcs[0]["CidrBlockAssociationSet"]:
            if found["AssociationId"] == identifier:
                return found
        raise NotFoundError(identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        rules.range_is_empty(aws, state["vpcId"], state["cidrBlock"])
        aws.client("ec2").disassociate_vpc_cidr_block(AssociationId=identifier)


class RouteTable(Handler):
    type = "aws:ec2/routeTable:RouteTable"
    required = frozenset({"vpcId"})

    def create(self, aws: Account, new: Properties) -> Made:
        table = aws.client("ec2").create_route_table(
            VpcId=new["vpcId"],
            TagSpecifications=ec2_specifications("route-table", new),
        )["RouteTable"]["RouteTableId"]
        arn = aws.arn("ec2", f"route-table/{table}")
        return Made(table, {"arn": arn, "ownerId": aws.id})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("ec2").describe_route_tables(RouteTableIds=[identifier])

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ec2").delete_route_table(RouteTableId=identifier)


class Route(Handler):
    type = "aws:ec2/route:Route"
    required = frozenset({"routeTableId", "destinationCidrBlock"})
    optional = frozenset(TARGETS)
    updates = frozenset(TARGETS)
    taggable = False

    def _target(self, new: Properties) -> dict[str, str]:
        return {TARGETS[key]: new[key] for key in TARGETS if key in new}

    def create(self, aws: Account, new: Properties) -> Made:
        table, to = new["routeTableId"], new["destinationCidrBlock"]
        rules.route_leads_somewhere(aws, table, self._target(new))
        aws.client("ec2").create_route(
            RouteTableId=table, DestinationCidrBlock=to, **self._target(new)
        )
        return Made(f"r-{table}-{to}", {"state": "active"})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        target = self._target(change.new)
        rules.route_leads_somewhere(aws, change.new["routeTableId"], target)
        aws.client("ec2").replace_route(
            RouteTableId=change.new["routeTableId"],
            DestinationCidrBlock=change.new["destinationCidrBlock"],
            **target,
        )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        tables = aws.client("ec2").describe_route_tables(
            RouteTableIds=[state["routeTableId"]]
        )["RouteTables"]
        for route in tables[0]["Routes"]:
            if route.get("DestinationCidrBlock") == state["destinationCidrBlock"]:
                return route
        raise NotFoundError(identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ec2").delete_route(
            RouteTableId=state["routeTableId"],
            DestinationCidrBlock=state["destinationCidrBlock"],
        )


class RouteTableAssociation(Handler):
    type = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    required = frozenset({"routeTableId", "subnetId"})
    taggable = False

    def create(self, aws: Account, new: Properties) -> Made:
        ec2 = aws.client("ec2")
        made = ec2.associate_route_table(
            RouteTableId=new["routeTableId"], SubnetId=new["subnetId"]
        )
        return Made(made["AssociationId"])

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        tables = aws.client("ec2").describe_route_tables(
            RouteTableIds=[state["routeTableId"]]
        )["RouteTables"]
        for found in tables[0]["Associations"]:
            if found["RouteTableAssociationId"] == identifier:
                return found
        raise NotFoundError(identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ec2").disassociate_route_table(AssociationId=identifier)


class VpcEndpoint(Handler):
    type = "aws:ec2/vpcEndpoint:VpcEndpoint"
    required = frozenset({"vpcId", "serviceName"})
    optional = frozenset(
        {
            "vpcEndpointType",
            "subnetIds",
            "securityGroupIds",
            "routeTableIds",
            "privateDnsEnabled",
            "policy",
            "ipAddressType",
            "dnsOptions",
        }
    )
    updates = frozenset(
        {
            "subnetIds",
            "securityGroupIds",
            "routeTableIds",
            "privateDnsEnabled",
            "policy",
            "ipAddressType",
            "dnsOptions",
        }
    )
    replaces = frozenset(
        {"dnsOptions.privateDnsPreference", "dnsOptions.privateDnsSpecifiedDomains"}
    )

    def create(self, aws: Account, new: Properties) -> Made:
        rules.endpoint_fits_vpc(aws, new)
        made = aws.client("ec2").create_vpc_endpoint(
            VpcId=new["vpcId"],
            ServiceName=new["serviceName"],
            VpcEndpointType=new.get("vpcEndpointType", "Gateway"),
            TagSpecifications=ec2_specifications("vpc-endpoint", new),
            **given(
                SubnetIds=new.get("subnetIds"),
                SecurityGroupIds=new.get("securityGroupIds"),
                RouteTableIds=new.get("routeTableIds"),
                PrivateDnsEnabled=new.get("privateDnsEnabled"),
                PolicyDocument=new.get("policy"),
                IpAddressType=new.get("ipAddressType"),
                DnsOptions=pascal(new.get("dnsOptions")),
            ),
        )["VpcEndpoint"]
        identifier = made["VpcEndpointId"]
        told = {
            "arn": aws.arn("ec2", f"vpc-endpoint/{identifier}"),
            "state": made["State"],
            "dnsEntries": [],
        }
        return Made(identifier, told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        rules.endpoint_fits_vpc(aws, change.new)
        parameters: dict[str, Any] = {}
        for name, parameter in (
            ("subnetIds", "SubnetIds"),
            ("securityGroupIds", "SecurityGroupIds"),
            ("routeTableIds", "RouteTableIds"),
        ):
            old = set(change.old.get(name) or [])
            new = set(change.new.get(name) or [])
            if new - old:
                parameters[f"Add{parameter}"] = sorted(new - old)
            if old - new:
                parameters[f"Remove{parameter}"] = sorted(old - new)
        if change.of("policy"):
            parameters["PolicyDocument"] = change.new["policy"]
        if change.of("privateDnsEnabled"):
            parameters["PrivateDnsEnabled"] = change.new["privateDnsEnabled"]
        if change.of("ipAddressType"):
            parameters["IpAddressType"] = change.new["ipAddressType"]
        if change.of("dnsOptions"):
            parameters["DnsOptions"] = pascal(change.new["dnsOptions"])
        if parameters:
            ec2 = aws.client("ec2")
            ec2.modify_vpc_endpoint(VpcEndpointId=identifier, **parameters)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        ec2 = aws.client("ec2")
        (found,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[identifier])[
            "VpcEndpoints"
        ]
        if found["State"] == "deleted":
            raise NotFoundError(identifier)
        return found

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[identifier])


class FlowLog(Handler):
    type = "aws:ec2/flowLog:FlowLog"
    required = frozenset({"vpcId", "trafficType", "logDestination"})
    optional = frozenset(
        {
            "logDestinationType",
            "iamRoleArn",
            "maxAggregationInterval",
            "logFormat",
            "destinationOptions",
        }
    )

    def create(self, aws: Account, new: Properties) -> Made:
        answer = aws.client("ec2").create_flow_logs(
            ResourceIds=[new["vpcId"]],
            ResourceType="VPC",
            TrafficType=new["trafficType"],
            LogDestination=new["logDestination"],
            LogDestinationType=new.get("logDestinationType", "cloud-watch-logs"),
            TagSpecifications=ec2_specifications("vpc-flow-log", new),
            **given(
                DeliverLogsPermissionArn=new.get("iamRoleArn"),
                MaxAggregationInterval=new.get("maxAggregationInterval"),
                LogFormat=new.get("logFormat"),
                DestinationOptions=pascal(new.get("destinationOptions")),
            ),
        )
        # Refusals are in the response to a call that succeeded.
        if answer.get("Unsuccessful"):
            raise RefusedError(str(answer["Unsuccessful"]))
        (identifier,) = answer["FlowLogIds"]
        return Made(identifier, {"arn": aws.arn("ec2", f"vpc-flow-log/{identifier}")})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        found = aws.client("ec2").describe_flow_logs(FlowLogIds=[identifier])
        if not found["FlowLogs"]:
            raise NotFoundError(identifier)
        return found

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ec2").delete_flow_logs(FlowLogIds=[identifier])
