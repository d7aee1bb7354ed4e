"""Subnets of an existing VPC, as the doctor judges them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.cluster.network.network_settings import NetworkSettings
from slipway.doctor.checks import subnets
from slipway.doctor.findings import Finding
from tests.support.doctor import SYSTEM, ZONES, plan
from tests.support.stubbed import Stubbed

IDS = {zone: f"subnet-0123456789abcdef{i}" for i, zone in enumerate(ZONES)}
EXISTING = NetworkSettings.model_validate(
    {
        "zones": ZONES,
        "existing": {
            "id": "vpc-0123456789abcdef0",
            "cidr": "10.0.0.0/16",
            "private_subnets": IDS,
        },
    }
)
NEEDED = {"kubernetes.io/role/internal-elb": "1", "karpenter.sh/discovery": "prod"}


@pytest.fixture
def aws() -> Iterator[Stubbed]:
    stubbed = Stubbed()
    yield stubbed
    stubbed.all_asked()


def found(
    aws: Stubbed, cidr: str = "10.0.0.0/20", tags: dict[str, str] = NEEDED, **plan_: Any
) -> list[Finding]:
    """What is found if all subnets have this range's size and these tags."""
    real = [
        {
            "SubnetId": id_,
            "AvailabilityZone": zone,
            "CidrBlock": cidr,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        for zone, id_ in IDS.items()
    ]
    aws.says("ec2", "describe_subnets", {"Subnets": real})
    return list(subnets.check(plan(network=EXISTING, **plan_), aws.account))


def test_tagged_and_large_subnets_are_good(aws: Stubbed) -> None:
    told = found(aws)
    assert [one.status for one in told] == ["good"] * 4
    assert {one.subject for one in told} == {
        f"network.existing.private_subnets.{zone}" for zone in ZONES
    }


def test_a_subnet_that_karpenter_would_not_find_is_a_problem(aws: Stubbed) -> None:
    tags = {**NEEDED, "karpenter.sh/discovery": "other"}
    problems = [one for one in found(aws, tags=tags) if one.status == "problem"]
    assert len(problems) == len(ZONES)
    assert "lacks karpenter.sh/discovery=prod:" in problems[0].detail
    assert problems[0].fix.startswith(
        f"aws ec2 create-tags --resources {IDS[ZONES[0]]}"
    )


def test_without_elastic_pools_karpenters_tag_is_not_asked_for(aws: Stubbed) -> None:
    tags = {"kubernetes.io/role/internal-elb": "1"}
    told = found(aws, tags=tags, pools={"system": SYSTEM})
    assert {one.status for one in told} == {"good"}


def test_a_subnet_too_small_for_the_pools_is_a_problem(aws: Stubbed) -> None:
    # 3 nodes of 110 pods and 4 of 250 or 110, two of each in a zone: more than 208.
    problems = [one for one in found(aws, "10.0.0.0/24") if one.status == "problem"]
    assert len(problems) == len(ZONES)
    assert "4 nodes" in problems[0].detail
    assert "10.0.0.0/24 has 208" in problems[0].detail


def test_where_pods_have_subnets_of_their_own_size_is_not_judged(aws: Stubbed) -> None:
    tags = {**NEEDED, "kubernetes.io/role/cni": "0"}
    assert [one.status for one in found(aws, "10.0.0.0/24", tags)] == ["good"] * 2


def test_a_vpc_of_ours_is_not_asked_about(aws: Stubbed) -> None:
    assert list(subnets.check(plan(), aws.account)) == []
