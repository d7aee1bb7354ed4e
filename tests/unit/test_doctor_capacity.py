"""Zones, reservations and images of the pools, as the doctor judges them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from components.cluster.nodes import amis
from slipway.doctor.checks import (
    images,
    offerings,
    reservations,
)
from slipway.doctor.findings import Finding
from tests.support.doctor import (
    SPOT,
    SYSTEM,
    ZONES,
    plan,
    pool,
    statuses,
)
from tests.support.stubbed import Stubbed


@pytest.fixture
def aws() -> Iterator[Stubbed]:
    stubbed = Stubbed()
    yield stubbed
    stubbed.all_asked()


def offered(aws: Stubbed, **types: list[str]) -> None:
    found = [
        {"InstanceType": name.replace("_", "."), "Location": zone}
        for name, places in types.items()
        for zone in places
    ]
    aws.says(
        "ec2", "describe_instance_type_offerings", {"InstanceTypeOfferings": found}
    )


def test_managed_groups_need_all_zones_and_karpenter_one(aws: Stubbed) -> None:
    offered(aws, m7a_large=ZONES[:1], g6_xlarge=ZONES[:1], g6_4xlarge=["us-east-1f"])
    found = list(offerings.check(plan(), aws.account))
    assert statuses(found) == {
        "pools.system m7a.large": "problem",
        "pools.gpu g6.xlarge": "good",
        "pools.gpu g6.4xlarge": "problem",
    }
    assert found[1].detail == "in us-east-1a, not in us-east-1b"
    assert found[2].fix == "give the pool zones from us-east-1f"


def test_a_type_that_the_region_lacks_is_reported(aws: Stubbed) -> None:
    offered(aws)
    found = list(offerings.check(plan(pools={"system": SYSTEM}), aws.account))
    assert found[0].detail.endswith("it is in no zone of the region")


ID = "cr-0123456789abcdef0"
RESERVED = pool(
    kind="reserved",
    instance_types=["p5.48xlarge"],
    min_nodes=2,
    max_nodes=2,
    reservation={"id": ID, "instances": 2, "zone": "us-east-1a"},
)


def reservation(aws: Stubbed, **changes: Any) -> None:
    real = {
        "CapacityReservationId": ID,
        "InstanceType": "p5.48xlarge",
        "InstancePlatform": "Linux/UNIX",
        "AvailabilityZone": "us-east-1a",
        "Tenancy": "default",
        "TotalInstanceCount": 2,
        "AvailableInstanceCount": 2,
        "State": "active",
        "ReservationType": "default",
        **changes,
    }
    aws.says(
        "ec2",
        "describe_capacity_reservations",
        {"CapacityReservations": [real]},
        CapacityReservationIds=[ID],
    )


def reserved(aws: Stubbed) -> Finding:
    (found,) = reservations.check(plan(pools={"h100": RESERVED}), aws.account)
    assert found.subject == f"pools.h100 {ID}"
    return found


def test_a_reservation_as_the_settings_say_is_good(aws: Stubbed) -> None:
    reservation(aws)
    found = reserved(aws)
    assert found.status == "good"
    assert found.detail == "active: 2 x p5.48xlarge in us-east-1a, 2 free"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"State": "expired"}, "it is expired, not active"),
        (
            {"State": "scheduled", "StartDate": datetime(2100, 1, 2, 11, tzinfo=UTC)},
            "it is scheduled, not active, it begins at 2100-01-02 11:00 UTC",
        ),
        ({"EndDate": datetime(2020, 1, 1, tzinfo=UTC)}, "it ended at 2020-01-01 00:00"),
        ({"AvailabilityZone": "us-east-1b"}, "it is in us-east-1b, the pool in us-e"),
        ({"InstanceType": "p4d.24xlarge"}, "it is for p4d.24xlarge, which is not"),
        ({"TotalInstanceCount": 1}, "it holds 1 instances, the settings say 2"),
        ({"ReservationType": "capacity-block"}, "it is a capacity block, the settings"),
        ({"Tenancy": "dedicated"}, "its tenancy is dedicated"),
        ({"InstancePlatform": "Windows"}, "it is for Windows, nodes run Linux"),
    ],
)
def test_each_way_in_which_a_reservation_differs_is_reported(
    aws: Stubbed, changes: dict[str, Any], said: str
) -> None:
    reservation(aws, **changes)
    found = reserved(aws)
    assert found.status == "problem"
    assert said in found.detail


def test_a_reservation_that_is_not_there_is_a_problem(aws: Stubbed) -> None:
    code = "InvalidCapacityReservationId.NotFound"
    aws.refuses("ec2", "describe_capacity_reservations", code)
    assert reserved(aws).status == "problem"


def test_a_reservation_that_may_not_be_seen_is_unknown(aws: Stubbed) -> None:
    code = "UnauthorizedOperation"
    aws.refuses("ec2", "describe_capacity_reservations", code)
    found = reserved(aws)
    assert found.status == "unknown"
    assert found.fix.endswith("ec2:DescribeCapacityReservations")


def image(aws: Stubbed, **changes: Any) -> None:
    aws.says("ssm", "get_parameter", {"Parameter": {"Value": "ami-1"}})
    real = {"State": "available", "Architecture": "x86_64", "Name": "al2023"} | changes
    aws.says("ec2", "describe_images", {"Images": [real]}, ImageIds=["ami-1"])


def test_each_variant_is_looked_up_once_for_all_its_pools(aws: Stubbed) -> None:
    image(aws)
    image(aws)
    pools = {"system": SYSTEM, "gpu": SPOT, "more": SPOT}
    found = list(images.check(plan(pools=pools), aws.account))
    assert [one.status for one in found] == ["good", "good"]
    assert "(pools.gpu, pools.more)" in found[1].subject


def test_the_parameters_path_is_karpenters() -> None:
    nvidia = amis.lock().image("al2023-x86_64-nvidia")
    tag = amis.lock().tag
    assert images.parameter("1.35", nvidia) == (
        "/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/x86_64/nvidia/"
        f"amazon-eks-node-al2023-x86_64-nvidia-1.35-{tag}/image_id"
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [("ParameterNotFound", "problem"), ("AccessDeniedException", "unknown")],
)
def test_a_release_that_is_not_there_or_not_seen(
    aws: Stubbed, code: str, status: str
) -> None:
    aws.refuses("ssm", "get_parameter", code)
    (found,) = images.check(plan(pools={"system": SYSTEM}), aws.account)
    assert found.status == status


def test_an_image_that_cannot_be_booted_is_a_problem(aws: Stubbed) -> None:
    image(aws, Architecture="arm64")
    (found,) = images.check(plan(pools={"system": SYSTEM}), aws.account)
    assert (found.status, found.detail[:20]) == ("problem", "ami-1 is for arm64 (")
