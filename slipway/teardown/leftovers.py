"""Resources that still have a cluster's tags after its destroy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from components.cluster.iam.tags import CLUSTER_TAG
from slipway.account import AwsCall, CannotAskError, Client
from slipway.teardown.aws import Found, owned_by
from toolchain.errors import OperatorError

DISCOVERY = "karpenter.sh/discovery"


@dataclass(frozen=True)
class Leftover:
    """One resource that is still there."""

    kind: str
    """Service and kind, for example `ec2 volume`."""
    id: str
    tag: str
    """The tag by which it was found."""


class LeftoverError(OperatorError):
    """The engine's destroy is done, and yet something is left, or may be."""

    def __init__(self, stack: str, found: list[Leftover], unseen: str) -> None:
        self.found, self.unseen = found, unseen
        lines = [
            f"{stack}: its resources are deleted, but others are left: {len(found)}"
        ]
        if unseen:
            lines = [f"{stack}: its resources are deleted"]
            lines.append(f"the check for leftovers failed: {unseen}")
        lines.append(
            "Delete what is no longer needed (volumes: slipway destroy "
            f"--delete-volumes), then check again: slipway destroy {stack}"
        )
        super().__init__("\n".join(lines))


def tags(name: str) -> list[tuple[str, str | None]]:
    """Tags and values that say that a resource is this cluster's."""
    return [(CLUSTER_TAG, name), (owned_by(name), "owned"), (DISCOVERY, name)]


def find(found: Found) -> list[Leftover]:
    """All existing resources with one of the tags, each once.

    The tagging API still names what was deleted within the last hours, so kinds that
    linger are asked about. CannotAskError where it cannot be asked.
    """
    left: dict[str, Leftover] = {}
    for key, value in tags(found.target.name):
        for arn in _tagged(found, key, value):
            service, kind, id_ = parts(arn)
            if arn not in left and _exists(found, service, kind, id_):
                left[arn] = Leftover(f"{service} {kind}", id_, key)
    for list_ in (found.nodes, found.volumes, found.interfaces):
        for one in list_():
            if not any(one.id == other.id for other in left.values()):
                left[one.id] = Leftover(f"ec2 {one.kind}", one.id, "of the cluster")
    return list(left.values())


def parts(arn: str) -> tuple[str, str, str]:
    """Service, kind and id of an ARN; some services have no kind."""
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    kind, *rest = re.split(r"[:/]", resource, maxsplit=1)
    if rest:
        return service, kind, rest[0]
    return service, {"s3": "bucket", "sqs": "queue"}.get(service, ""), resource


def _tagged(found: Found, key: str, value: str | None) -> Iterator[str]:
    wanted: dict[str, Any] = {"Key": key} | ({"Values": [value]} if value else {})
    with AwsCall("resourcegroupstaggingapi", "get_resources"):
        client = found.client("resourcegroupstaggingapi")
        pages = client.get_paginator("get_resources").paginate(TagFilters=[wanted])
        for page in pages:
            for one in page["ResourceTagMappingList"]:
                yield one["ResourceARN"]


def _exists(found: Found, service: str, kind: str, id_: str) -> bool:
    """False only where the resource's own service says that it is gone."""
    lingering = LINGERING.get((service, kind))
    if lingering is None:
        return True
    try:
        with AwsCall(service, "describe"):
            return lingering(found.client(service), id_)
    except CannotAskError as error:
        return not ("NotFound" in error.code or "Malformed" in error.code)


def _instance(client: Client, id_: str) -> bool:
    found = client.describe_instances(InstanceIds=[id_])["Reservations"]
    states = [i["State"]["Name"] for r in found for i in r["Instances"]]
    return any(state != "terminated" for state in states)


def _nat(client: Client, id_: str) -> bool:
    found = client.describe_nat_gateways(NatGatewayIds=[id_])["NatGateways"]
    return any(one["State"] != "deleted" for one in found)


def _key(client: Client, id_: str) -> bool:
    state = client.describe_key(KeyId=id_)["KeyMetadata"]["KeyState"]
    return bool(state != "PendingDeletion")


def _ec2(call: str, parameter: str, key: str) -> Callable[[Client, str], bool]:
    """Check whether a call that takes ids knows this one."""

    def exists(client: Client, id_: str) -> bool:
        return bool(getattr(client, call)(**{parameter: [id_]})[key])

    return exists


LINGERING: Mapping[tuple[str, str], Callable[[Client, str], bool]] = {
    ("ec2", "instance"): _instance,
    ("ec2", "natgateway"): _nat,
    ("kms", "key"): _key,
    ("ec2", "volume"): _ec2("describe_volumes", "VolumeIds", "Volumes"),
    ("ec2", "vpc"): _ec2("describe_vpcs", "VpcIds", "Vpcs"),
    ("ec2", "subnet"): _ec2("describe_subnets", "SubnetIds", "Subnets"),
    ("ec2", "vpc-endpoint"): _ec2(
        "describe_vpc_endpoints", "VpcEndpointIds", "VpcEndpoints"
    ),
    ("ec2", "network-interface"): _ec2(
        "describe_network_interfaces", "NetworkInterfaceIds", "NetworkInterfaces"
    ),
    ("ec2", "security-group"): _ec2(
        "describe_security_groups", "GroupIds", "SecurityGroups"
    ),
}
"""Kinds that the tagging API names after their end, and how to ask whether they are."""


def table(found: list[Leftover]) -> Table:
    """Leftovers for a person."""
    lines = Table("kind", "id", "found by tag", box=box.SIMPLE_HEAD)
    for one in sorted(found, key=lambda leftover: (leftover.kind, leftover.id)):
        lines.add_row(one.kind, one.id, one.tag)
    return lines
