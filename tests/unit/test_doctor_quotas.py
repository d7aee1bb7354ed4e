"""Quotas that pools and network run into, as the doctor judges them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.cluster.network.network_settings import NetworkSettings
from slipway.doctor.checks import (
    network_quotas,
    vcpu_quotas,
)
from tests.support.doctor import (
    OWN,
    SPOT,
    SYSTEM,
    ZONES,
    plan,
    pool,
    quota,
    statuses,
)
from tests.support.stubbed import Stubbed


@pytest.fixture
def aws() -> Iterator[Stubbed]:
    stubbed = Stubbed()
    yield stubbed
    stubbed.all_asked()


def instances(aws: Stubbed, *found: dict[str, Any]) -> None:
    answer = {"Reservations": [{"Instances": list(found)}]}
    aws.says("ec2", "describe_instances", answer)


def test_a_pools_largest_type_counts_once_and_all_pools_together() -> None:
    needs = vcpu_quotas.needed(plan(pools={"a": SPOT, "b": SPOT, "system": SYSTEM}))
    summed = {key: sum(n.vcpus for n in found) for key, found in needs.items()}
    # 4 x g6.4xlarge of 16 vCPUs in each pool; 3 x m7a.large of 2.
    assert summed == {
        ("G and VT", "spot"): 128,
        ("G and VT", "on-demand"): 128,
        ("Standard", "on-demand"): 6,
    }


def test_capacity_blocks_count_against_no_quota() -> None:
    block = pool(
        kind="reserved",
        instance_types=["p5.48xlarge"],
        min_nodes=2,
        max_nodes=2,
        reservation={
            "id": "cr-0123456789abcdef0",
            "kind": "capacity_block",
            "instances": 2,
            "zone": "us-east-1a",
            "ends_at": (datetime.now(UTC) + timedelta(days=2)).isoformat(),
        },
        content_gib=100,
    )
    assert vcpu_quotas.needed(plan(pools={"block": block})) == {}


def test_what_others_run_leaves_less_and_what_the_cluster_runs_does_not(
    aws: Stubbed,
) -> None:
    running = {"InstanceType": "g6.xlarge", "InstanceLifecycle": "spot"}
    cores = {"CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 2}}
    instances(aws, {**running, **cores}, {**running, **cores, "Tags": OWN})
    quota(aws, 64)
    quota(aws, 67)
    quota(aws, 6)
    found = list(vcpu_quotas.check(plan(), aws.account))
    assert statuses(found) == {
        "G and VT on-demand vCPUs": "good",
        "G and VT spot vCPUs": "problem",
        "Standard on-demand vCPUs": "good",
    }
    spot = found[1]
    assert spot.detail == (
        "the quota is 67, others run 4, the pools may grow to 64: "
        "pools.gpu 4 x g6.4xlarge (64)"
    )
    assert spot.fix.endswith("--quota-code L-3819A6DF --desired-value 68")


def test_a_quota_in_which_not_one_node_fits_is_reported(aws: Stubbed) -> None:
    large = pool(
        kind="reserved", instance_types=["p5.48xlarge"], min_nodes=1, max_nodes=2
    )
    instances(aws)
    quota(aws, 100)
    (found,) = vcpu_quotas.check(plan(pools={"h100": large}), aws.account)
    assert found.status == "problem"
    assert found.detail.endswith("not even one p5.48xlarge fits")


def test_aws_default_is_taken_where_the_account_has_no_quota_of_its_own(
    aws: Stubbed,
) -> None:
    instances(aws)
    code = "NoSuchResourceException"
    aws.refuses("service-quotas", "get_service_quota", code)
    default = {"Quota": {"Value": 5.0}}
    aws.says("service-quotas", "get_aws_default_service_quota", default)
    (found,) = vcpu_quotas.check(plan(pools={"system": SYSTEM}), aws.account)
    assert (found.status, found.detail[:14]) == ("problem", "the quota is 5")


def test_a_quota_that_cannot_be_read_is_unknown(aws: Stubbed) -> None:
    instances(aws)
    aws.refuses("service-quotas", "get_service_quota", "AccessDeniedException")
    (found,) = vcpu_quotas.check(plan(pools={"system": SYSTEM}), aws.account)
    assert found.status == "unknown"
    assert found.fix.endswith("service-quotas:GetServiceQuota")


def test_without_a_look_at_instances_enough_is_not_good(aws: Stubbed) -> None:
    aws.refuses("ec2", "describe_instances", "UnauthorizedOperation")
    quota(aws, 1000)
    (found,) = vcpu_quotas.check(plan(pools={"system": SYSTEM}), aws.account)
    assert found.status == "unknown"
    assert "what others run is not known" in found.detail


def test_a_new_vpc_counts_beside_those_of_others(aws: Stubbed) -> None:
    vpcs = [{"VpcId": f"vpc-{n}"} for n in range(5)] + [{"VpcId": "own", "Tags": OWN}]
    quota(aws, 5)
    aws.says("ec2", "describe_vpcs", {"Vpcs": vpcs})
    quota(aws, 5)
    aws.says("ec2", "describe_internet_gateways", {"InternetGateways": []})
    quota(aws, 5)
    aws.says("ec2", "describe_addresses", {"Addresses": [{}] * 4})
    quota(aws, 5)
    gateways = [{"SubnetId": "s-a"}] * 5
    aws.says("ec2", "describe_nat_gateways", {"NatGateways": gateways})
    subnets = [{"SubnetId": "s-a", "AvailabilityZone": "us-east-1a"}]
    aws.says("ec2", "describe_subnets", {"Subnets": subnets})
    quota(aws, 50)
    found = list(network_quotas.check(plan(), aws.account))
    assert statuses(found) == {
        "vpcs per region": "problem",
        "internet gateways per region": "good",
        "elastic ips per region": "problem",
        "nat gateways per zone": "problem",
        "interface endpoints per vpc": "good",
    }
    assert found[0].detail == "the quota is 5, others use 5, the stack needs 1"
    assert found[2].detail == "the quota is 5, others use 4, the stack needs 2"
    assert found[0].fix.startswith("delete what is not needed, or request more")


def test_one_quota_that_cannot_be_read_hides_no_other(aws: Stubbed) -> None:
    network = NetworkSettings(
        zones=tuple(ZONES), cidr="10.20.0.0/16", nat="single", endpoints=("s3",)
    )
    aws.refuses("service-quotas", "get_service_quota")
    for call, key in [
        ("describe_internet_gateways", "InternetGateways"),
        ("describe_addresses", "Addresses"),
        ("describe_nat_gateways", "NatGateways"),
        ("describe_subnets", "Subnets"),
    ]:
        aws.says("ec2", call, {key: []})
    for _ in range(3):
        quota(aws, 5)
    found = list(network_quotas.check(plan(network=network), aws.account))
    assert [one.status for one in found] == ["unknown", "good", "good", "good"]
