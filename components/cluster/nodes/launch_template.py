"""The template that a managed node group's instances are launched from."""

from __future__ import annotations

import base64
from typing import Any

import pulumi
import pulumi_aws as aws

from components.catalog import InstanceType
from components.cluster.iam.tags import tags
from components.cluster.nodes import pool_nodes, user_data
from components.cluster.nodes.facts import ClusterFacts
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.nodes.system_pool import SystemPool

ROOT_DEVICE = "/dev/xvda"
"""Root device of AL2023."""
TAGGED = ("instance", "volume", "network-interface")
"""Resources that a launch creates: a launch template's own tags do not apply to
them."""

Object = dict[str, Any]


def launch_template(
    name: str,
    pool: SystemPool | ReservedPool,
    *,
    pool_name: str,
    facts: ClusterFacts,
    placement_group: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions,
) -> aws.ec2.LaunchTemplate:
    """The template `<cluster>-<pool>`; a change makes a new version of it.

    EKS takes the image from the node group's release, and adds to the user data.
    """
    physical = f"{facts.name}-{pool_name}"
    bears = {
        **tags(facts.name, physical),
        pool_nodes.POOL_LABEL: pool_name,
    }
    document = user_data.managed(pool).encode()
    return aws.ec2.LaunchTemplate(
        name,
        name=physical,
        description=f"Nodes of the pool {pool_name} of {facts.name}",
        update_default_version=True,
        user_data=base64.b64encode(document).decode(),
        block_device_mappings=[_root(pool)],
        # One hop: what runs in a pod's own network does not get at the node's role.
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
            "instance_metadata_tags": "disabled",
        },
        monitoring={"enabled": True},
        network_interfaces=interfaces(pool, facts.security_group_id),
        placement={"group_name": placement_group} if placement_group else None,
        tag_specifications=[
            {"resource_type": kind, "tags": {**facts.tags, **bears}} for kind in TAGGED
        ],
        tags=bears,
        opts=opts,
        **_purchase(pool),
    )


def _root(pool: NodePoolBase) -> Object:
    return {
        "device_name": ROOT_DEVICE,
        "ebs": {
            "volume_size": pool.disk_gib,
            "volume_type": "gp3",
            "encrypted": "true",
            "delete_on_termination": "true",
        },
    }


def interfaces(pool: NodePoolBase, security_group: pulumi.Input[str]) -> list[Object]:
    """The network interfaces at launch; EKS chooses the subnet.

    With EFA one on each network card, as many as the type has. The first carries the
    node's addresses too, the others nothing but EFA's packets, so that they take no
    addresses. A type with a card more than adapters has the first for IP alone.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html
    """
    common: Object = {
        "security_groups": [security_group],
        "delete_on_termination": "true",
    }
    if not pool_nodes.efa(pool):
        # Not with several interfaces: EC2 rejects it then, and subnets are private.
        return [{**common, "device_index": 0, "associate_public_ip_address": "false"}]
    t = pool_nodes.types(pool)[0]
    return [
        {
            **common,
            "network_card_index": card,
            "device_index": min(card, 1),
            "interface_type": kind,
        }
        for card, kind in enumerate(_kinds(t))
    ]


def _kinds(t: InstanceType) -> list[str]:
    """Of each card's interface; a card without an adapter is the first, if any."""
    adapters = min(t.efa_interfaces, t.network_cards)
    if adapters < t.network_cards and adapters > 1:
        return ["interface", *["efa-only"] * adapters]
    return ["efa", *["efa-only"] * (adapters - 1)]


def _purchase(pool: SystemPool | ReservedPool) -> Object:
    """Return the link to reserved capacity."""
    held = pool.reservation if isinstance(pool, ReservedPool) else None
    if held is None:
        return {}
    found: Object = {
        "capacity_reservation_specification": {
            "capacity_reservation_target": {"capacity_reservation_id": held.id}
        }
    }
    if held.kind == "capacity_block":
        # https://docs.aws.amazon.com/eks/latest/userguide/capacity-blocks-mng.html
        found["instance_market_options"] = {"market_type": "capacity-block"}
        found["instance_type"] = pool.instance_types[0]
    return found
