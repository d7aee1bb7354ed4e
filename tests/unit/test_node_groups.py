"""Managed node groups as plain data: image, template, adapters, reservations."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from components.cluster.nodes import amis, user_data
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered
from tests.support import pools
from tests.support.aws_rendered import CLUSTER, of_kind, only

GROUP, TEMPLATE = "eks/nodeGroup:NodeGroup", "ec2/launchTemplate:LaunchTemplate"
PLACEMENT = "ec2/placementGroup:PlacementGroup"
EFA = {**pools.H100, "zones": [pools.ZONES[0]]}


def group(config: dict[str, Any]) -> Resource:
    return only(pools.group(config), GROUP)


def template(config: dict[str, Any]) -> dict[str, Any]:
    return only(pools.group(config), TEMPLATE).inputs


def made(config: dict[str, Any]) -> Rendered:
    return pools.group(config)


def test_a_system_pool_is_a_group_of_a_pinned_release() -> None:
    found = group({**pools.SYSTEM, "labels": {"team": "ml"}})
    assert found.inputs == {
        "clusterName": CLUSTER,
        "nodeGroupName": "gpu",
        "nodeRoleArn": pools.ROLE,
        "subnetIds": list(pools.SUBNETS.values()),
        "version": "1.34",
        "releaseVersion": amis.lock().release_version("1.34"),
        "amiType": "AL2023_x86_64_STANDARD",
        "capacityType": "ON_DEMAND",
        "instanceTypes": ["m7i.large"],
        "scalingConfig": {"minSize": 2, "maxSize": 4, "desiredSize": 2},
        "updateConfig": {"maxUnavailable": 1, "updateStrategy": "DEFAULT"},
        "nodeRepairConfig": {"enabled": True},
        "labels": {"team": "ml", "slipway.dev/pool": "gpu"},
        "taints": [],
        "launchTemplate": {
            "id": "gpu-id",
            "version": found.inputs["launchTemplate"]["version"],
        },
        "tags": {"Name": f"{CLUSTER}-gpu", "slipway.dev/cluster": CLUSTER},
    }


def test_who_scales_the_group_owns_its_size() -> None:
    assert group(pools.SYSTEM).ignore_changes == ("scalingConfig.desiredSize",)


@pytest.mark.parametrize(
    ("types", "ami"),
    [
        (["m7g.large"], "AL2023_ARM_64_STANDARD"),
        (["p5.48xlarge"], "AL2023_x86_64_NVIDIA"),
        (["g5g.xlarge"], "AL2023_ARM_64_NVIDIA"),
        (["inf2.xlarge"], "AL2023_x86_64_NEURON"),
    ],
)
def test_the_image_follows_from_the_types(types: list[str], ami: str) -> None:
    config = {**pools.H100, "instance_types": types}
    assert group(config).inputs["amiType"] == ami


def test_gpu_nodes_are_kept_for_those_who_ask_for_gpus() -> None:
    found = group({**pools.H100, "taints": [{"key": "team", "value": "a"}]}).inputs
    assert found["taints"] == [
        {"key": "team", "value": "a", "effect": "NO_SCHEDULE"},
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"},
    ]
    assert found["labels"] == {
        "slipway.dev/pool": "gpu",
        "slipway.dev/accelerator": "h100",
        "slipway.dev/gpu-layout": "whole",
    }


def test_the_template_is_closed_encrypted_and_watched() -> None:
    found = template({**pools.SYSTEM, "disk_gib": 77})
    assert found["name"] == f"{CLUSTER}-gpu"
    assert found["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
        "instanceMetadataTags": "disabled",
    }
    (disk,) = found["blockDeviceMappings"]
    assert disk == {
        "deviceName": "/dev/xvda",
        "ebs": {
            "volumeSize": 77,
            "volumeType": "gp3",
            "encrypted": "true",
            "deleteOnTermination": "true",
        },
    }
    assert found["monitoring"] == {"enabled": True}
    assert found["networkInterfaces"] == [
        {
            "deviceIndex": 0,
            "associatePublicIpAddress": "false",
            "securityGroups": ["sg-0123456789abcdef0"],
            "deleteOnTermination": "true",
        }
    ]
    for absent in ("imageId", "instanceType", "placement", "instanceMarketOptions"):
        assert absent not in found


def test_what_a_launch_makes_is_tagged() -> None:
    found = template(pools.SYSTEM)
    own = {
        "Name": f"{CLUSTER}-gpu",
        "slipway.dev/cluster": CLUSTER,
        "slipway.dev/pool": "gpu",
    }
    assert found["tags"] == own
    assert {s["resourceType"] for s in found["tagSpecifications"]} == {
        "instance",
        "volume",
        "network-interface",
    }
    for specification in found["tagSpecifications"]:
        assert specification["tags"] == {**own, "environment": "test"}


def test_the_template_has_the_user_data() -> None:
    text = base64.b64decode(template(pools.H100)["userData"]).decode()
    assert text == user_data.managed(pools.pool(pools.H100))


@pytest.mark.parametrize(
    ("instance_type", "first", "others"),
    [
        ("p5.48xlarge", "efa", 31),
        ("p4d.24xlarge", "efa", 3),
        ("p5en.48xlarge", "efa", 15),
        ("trn1.32xlarge", "efa", 7),
        ("p6-b300.48xlarge", "interface", 16),
    ],
)
def test_each_network_card_has_its_adapter(
    instance_type: str, first: str, others: int
) -> None:
    found = template({**pools.H100, "instance_types": [instance_type]})
    interfaces = found["networkInterfaces"]
    assert [i["interfaceType"] for i in interfaces] == [first, *["efa-only"] * others]
    assert [i["networkCardIndex"] for i in interfaces] == list(range(others + 1))
    assert [i["deviceIndex"] for i in interfaces] == [0, *[1] * others]
    # EC2 refuses it beside a second interface.
    assert not any("associatePublicIpAddress" in i for i in interfaces)


@pytest.mark.parametrize(
    "change",
    [
        {"efa": False},
        {"min_nodes": 1, "max_nodes": 1},
        {"instance_types": ["g6.48xlarge"]},
    ],
)
def test_adapters_are_left_out_where_they_do_not_help(change: dict[str, Any]) -> None:
    (interface,) = template({**pools.H100, **change})["networkInterfaces"]
    assert "interfaceType" not in interface


def test_one_adapter_if_that_is_wanted() -> None:
    config = {**pools.H100, "instance_types": ["g6.48xlarge"], "efa": True}
    (interface,) = template(config)["networkInterfaces"]
    assert interface["interfaceType"] == "efa"


def test_nodes_with_adapters_stand_together_in_one_zone() -> None:
    found = made(EFA)
    placement = only(found, PLACEMENT).inputs
    assert placement["name"] == f"{CLUSTER}-gpu"
    assert placement["strategy"] == "cluster"
    wanted = {"groupName": f"{CLUSTER}-gpu"}
    assert only(found, TEMPLATE).inputs["placement"] == wanted
    assert only(found, GROUP).inputs["subnetIds"] == ["subnet-a"]


@pytest.mark.parametrize(
    "config",
    [
        pools.H100,
        {**EFA, "placement_group": False},
        {**EFA, "efa": False},
        {**pools.H100, "reservation": pools.HELD},
        {**pools.H100, "reservation": pools.BLOCK},
    ],
)
def test_no_placement_group_where_it_only_costs_launches(
    config: dict[str, Any],
) -> None:
    found = made(config)
    assert of_kind(found, PLACEMENT) == {}
    assert "placement" not in only(found, TEMPLATE).inputs


def test_a_reservation_is_the_only_capacity() -> None:
    found = made({**pools.H100, "reservation": pools.HELD})
    specification = only(found, TEMPLATE).inputs["capacityReservationSpecification"]
    target = {"capacityReservationId": pools.RESERVATION}
    assert specification == {"capacityReservationTarget": target}
    of_group = only(found, GROUP).inputs
    assert of_group["capacityType"] == "ON_DEMAND"
    assert of_group["subnetIds"] == ["subnet-b"]
    # There is no spare instance to come before the old one goes.
    assert of_group["updateConfig"]["updateStrategy"] == "MINIMAL"


def test_a_reservation_in_a_placement_group_is_used_there() -> None:
    held = {**pools.HELD, "placement_group": "close-together"}
    found = made({**pools.H100, "reservation": held})
    assert of_kind(found, PLACEMENT) == {}
    wanted = {"groupName": "close-together"}
    assert only(found, TEMPLATE).inputs["placement"] == wanted


def test_a_capacity_block_is_bought_as_one() -> None:
    found = made({**pools.H100, "reservation": pools.BLOCK})
    launched, of_group = only(found, TEMPLATE).inputs, only(found, GROUP).inputs
    assert of_group["capacityType"] == "CAPACITY_BLOCK"
    assert "instanceTypes" not in of_group
    assert launched["instanceType"] == "p5.48xlarge"
    assert launched["instanceMarketOptions"] == {"marketType": "capacity-block"}
    target = {"capacityReservationId": pools.RESERVATION}
    wanted = {"capacityReservationTarget": target}
    assert launched["capacityReservationSpecification"] == wanted


def test_a_block_that_is_over_stops_no_other_change() -> None:
    over = {**pools.BLOCK, "ends_at": "2026-01-31T11:30:00Z"}
    (message,) = pools.group({**pools.H100, "reservation": over}).messages
    assert "pools.gpu: the capacity block cr-0123456789abcdef0 ended at" in message
    assert "buy another block" in message
    assert pools.group({**pools.H100, "reservation": pools.BLOCK}).messages == ()


@pytest.mark.parametrize("config", [pools.SYSTEM, EFA])
def test_every_part_belongs_to_the_component(config: dict[str, Any]) -> None:
    found = made(config)
    (component,) = (r for r in found.resources if not r.custom and r.name == "gpu")
    assert component.type == "slipway:cluster:NodeGroup"
    for resource in found.resources:
        if resource.custom and resource.type.startswith("aws:"):
            assert resource.parent == component.urn
            assert resource.inputs["tags"]["slipway.dev/cluster"] == CLUSTER
