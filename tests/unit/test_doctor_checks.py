"""Credentials, rights, versions and address ranges, as the doctor judges them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from components.cluster.network.network_settings import NetworkSettings
from slipway.account import CannotAskError
from slipway.doctor.checks import (
    cidrs,
    credentials,
    permissions,
    versions,
)
from slipway.doctor.plan import Registered
from tests.support.doctor import (
    ACCOUNT,
    OWN,
    ZONES,
    caller,
    plan,
    statuses,
)
from tests.support.stubbed import Stubbed


@pytest.fixture
def aws() -> Iterator[Stubbed]:
    stubbed = Stubbed()
    yield stubbed
    stubbed.all_asked()


def zones(aws: Stubbed, *names: str) -> None:
    found = [
        {"ZoneName": n, "State": "available", "OptInStatus": "opt-in-not-required"}
        for n in names
    ]
    aws.says("ec2", "describe_availability_zones", {"AvailabilityZones": found})


def test_the_right_account_with_its_zones_is_good(aws: Stubbed) -> None:
    caller(aws)
    zones(aws, *ZONES)
    found = list(credentials.check(plan(), aws.account))
    assert statuses(found) == {"account.id": "good", "network.zones": "good"}


def test_another_account_is_a_problem_and_no_more_is_asked(aws: Stubbed) -> None:
    caller(aws, "999988887777")
    (found,) = credentials.check(plan(), aws.account)
    assert found.status == "problem"
    assert "999988887777" in found.detail
    assert "AWS_PROFILE" in found.fix


def test_a_zone_that_the_account_lacks_is_named(aws: Stubbed) -> None:
    caller(aws)
    zones(aws, "us-east-1a", "us-east-1c")
    found = list(credentials.check(plan(), aws.account))[-1]
    assert (found.status, found.fix) == (
        "problem",
        "choose from us-east-1a, us-east-1c",
    )
    assert found.detail.startswith("us-east-1b ")


def offered_versions(aws: Stubbed, **versions_: str) -> None:
    found = [
        {"clusterVersion": name.replace("v", "1."), "versionStatus": status}
        for name, status in versions_.items()
    ]
    aws.says("eks", "describe_cluster_versions", {"clusterVersions": found})


def test_a_version_and_add_ons_that_eks_has_are_good(aws: Stubbed) -> None:
    offered_versions(aws, v35="STANDARD_SUPPORT")
    addon = {"addons": [{"addonVersions": [{"addonVersion": "v1.2.3-eksbuild.1"}]}]}
    wanted = {"addonName": "coredns", "kubernetesVersion": "1.35"}
    aws.says("eks", "describe_addon_versions", addon, **wanted)
    planned = plan(addons={"coredns": "v1.2.3-eksbuild.1"})
    found = list(versions.check(planned, aws.account))
    assert statuses(found) == {"cluster.version": "good", "coredns": "good"}


def test_versions_that_eks_lacks_are_problems_with_what_there_is(aws: Stubbed) -> None:
    offered_versions(aws, v36="STANDARD_SUPPORT", v35="EXTENDED_SUPPORT")
    default = {"clusterVersion": "1.35", "defaultVersion": True}
    there = [
        {"addonVersion": "v2"},
        {"addonVersion": "v1", "compatibilities": [default]},
    ]
    aws.says("eks", "describe_addon_versions", {"addons": [{"addonVersions": there}]})
    found = list(versions.check(plan(addons={"coredns": "v9"}), aws.account))
    assert [one.status for one in found] == ["problem", "problem"]
    assert found[0].detail == "1.35 is in extended support"
    assert found[0].fix == "choose from 1.36"
    assert found[1].fix == "set cluster.addons.coredns.version to v1"


def test_an_add_on_that_cannot_be_asked_about_is_unknown(aws: Stubbed) -> None:
    offered_versions(aws, v35="STANDARD_SUPPORT")
    aws.refuses("eks", "describe_addon_versions", "AccessDeniedException")
    found = list(versions.check(plan(addons={"coredns": "v9"}), aws.account))
    assert statuses(found) == {"cluster.version": "good", "coredns": "unknown"}


def vpc(cidr: str, **changes: Any) -> dict[str, Any]:
    return {"VpcId": "vpc-1", "CidrBlock": cidr, **changes}


def test_a_range_that_a_vpc_has_is_a_problem_unless_it_is_the_stacks_own(
    aws: Stubbed,
) -> None:
    second = {"CidrBlock": "10.20.128.0/20", "CidrBlockState": {"State": "associated"}}
    other = vpc("10.9.0.0/16", CidrBlockAssociationSet=[second])
    aws.says("ec2", "describe_vpcs", {"Vpcs": [other]})
    (found,) = cidrs.check(plan(), aws.account)
    assert found.status == "problem"
    assert "vpc-1 (10.20.128.0/20)" in found.detail
    own = vpc("10.20.0.0/16", Tags=OWN)
    aws.says("ec2", "describe_vpcs", {"Vpcs": [own, vpc("10.21.0.0/16")]})
    (found,) = cidrs.check(plan(), aws.account)
    assert found.status == "good"


EXISTING = NetworkSettings.model_validate(
    {
        "zones": ZONES,
        "existing": {
            "id": "vpc-0123456789abcdef0",
            "cidr": "10.0.0.0/16",
            "private_subnets": {
                "us-east-1a": "subnet-0123456789abcdef0",
                "us-east-1b": "subnet-0123456789abcdef1",
            },
        },
    }
)


def test_an_existing_vpc_is_compared_with_what_the_settings_say(aws: Stubbed) -> None:
    aws.says("ec2", "describe_vpcs", {"Vpcs": [vpc("10.1.0.0/16")]})
    found = {
        "SubnetId": "subnet-0123456789abcdef0",
        "AvailabilityZone": "us-east-1a",
        "AvailableIpAddressCount": 250,
    }
    aws.says("ec2", "describe_subnets", {"Subnets": [found]})
    told = list(cidrs.check(plan(network=EXISTING), aws.account))
    assert statuses(told) == {
        "network.existing.cidr": "problem",
        "network.existing.private_subnets.us-east-1a": "good",
        "network.existing.private_subnets.us-east-1b": "problem",
    }
    assert told[1].detail.endswith("250 addresses are free")


BUCKET = Registered("aws:s3/bucket:Bucket", {"bucket": "prod-models"})
VPC = Registered("aws:ec2/vpc:Vpc", {})


def simulated(aws: Stubbed, group: permissions.Group, **denied: dict[str, Any]) -> None:
    results = [
        {"EvalActionName": action, "EvalDecision": "allowed"}
        | denied.get(action.rpartition(":")[2], {})
        for action in group.actions
    ]
    aws.says(
        "iam",
        "simulate_principal_policy",
        {"EvaluationResults": results},
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/team/deployer",
        ActionNames=list(group.actions),
        ResourceArns=list(group.arns),
    )


def role(aws: Stubbed) -> None:
    caller(aws)
    found = {
        "Path": "/team/",
        "RoleName": "deployer",
        "RoleId": "AROAEXAMPLEEXAMPLE",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/team/deployer",
        "CreateDate": datetime.now(UTC),
    }
    aws.says("iam", "get_role", {"Role": found}, RoleName="deployer")


def test_allowed_actions_are_good_asked_by_the_roles_own_arn(aws: Stubbed) -> None:
    planned = plan(resources=(BUCKET, VPC))
    role(aws)
    bucket, rest = permissions.groups(planned)
    assert bucket.arns == ("arn:aws:s3:::prod-models",)
    assert rest.arns == ("*",)
    simulated(aws, bucket)
    simulated(aws, rest)
    (found,) = permissions.check(planned, aws.account)
    assert found.status == "good"
    allowed = len(bucket.actions) + len(rest.actions)
    assert found.detail == f"{allowed} actions are allowed"


def test_denied_actions_are_problems_by_their_reason(aws: Stubbed) -> None:
    planned = plan(resources=(VPC,))
    role(aws)
    (group,) = permissions.groups(planned)
    implicit = {"EvalDecision": "implicitDeny"}
    simulated(
        aws,
        group,
        CreateVpc=implicit,
        DeleteVpc={"EvalDecision": "explicitDeny"},
        DescribeVpcs=implicit
        | {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}},
        CreateTags=implicit | {"MissingContextValues": ["aws:RequestTag/team"]},
    )
    found = list(permissions.check(planned, aws.account))
    assert {one.detail: one.status for one in found[:-1]} == {
        "no policy allows it: ec2:CreateVpc": "problem",
        "a policy denies it: ec2:DeleteVpc": "problem",
        "the organization's policy forbids it: ec2:DescribeVpcs": "problem",
        "it depends on aws:RequestTag/team: ec2:CreateTags": "unknown",
    }


def test_one_of_several_resources_that_is_denied_is_enough(aws: Stubbed) -> None:
    planned = plan(resources=(BUCKET,))
    role(aws)
    (group,) = permissions.groups(planned)
    one = {"EvalResourceName": "b", "EvalResourceDecision": "implicitDeny"}
    simulated(aws, group, CreateBucket={"ResourceSpecificResults": [one]})
    found = list(permissions.check(planned, aws.account))
    assert found[0].detail == "no policy allows it: s3:CreateBucket"


def test_the_root_user_and_unlisted_types_are_unknown(aws: Stubbed) -> None:
    answer = {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root", "UserId": "A"}
    aws.says("sts", "get_caller_identity", answer)
    (found,) = permissions.check(plan(), aws.account)
    assert found.status == "unknown"
    role(aws)
    odd = plan(resources=(Registered("aws:rds/instance:Instance", {}),))
    found, _ = permissions.check(odd, aws.account)
    assert (found.status, found.subject) == ("unknown", "aws:rds/instance:Instance")


def test_a_simulation_that_is_not_allowed_is_unknown_by_its_error(aws: Stubbed) -> None:
    role(aws)
    aws.refuses("iam", "simulate_principal_policy")
    with pytest.raises(CannotAskError) as caught:
        list(permissions.check(plan(resources=(VPC,)), aws.account))
    assert "iam:SimulatePrincipalPolicy" in caught.value.fix
