"""What Pulumi's AWS provider updates in place, the handlers update in place too.

The replacement table says so; here each update is a call that the emulated API takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pulumi
import pulumi_aws as aws
import pytest

from tests.support.aws.world import World, world

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
ACCOUNT, REGION = "111122223333", "eu-central-1"
BOUNDARY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    content = {"account": {"id": ACCOUNT, "region": REGION}}
    with world("cluster.tiny", tmp_path_factory.mktemp("tiny"), content) as found:
        yield found


def program(*, changed: bool) -> None:
    provider = aws.Provider("aws", region=REGION, allowed_account_ids=[ACCOUNT])
    opts = pulumi.ResourceOptions(provider=provider)
    vpcs = [
        aws.ec2.Vpc(f"vpc-{n}", cidr_block=f"10.{n}.0.0/16", opts=opts) for n in (0, 1)
    ]
    aws.ec2.InternetGateway("gateway", vpc_id=vpcs[changed].id, opts=opts)
    roles = [
        aws.iam.Role(
            f"role-{n}",
            name=f"role-{n}",
            assume_role_policy=TRUST,
            permissions_boundary=BOUNDARY if changed else None,
            opts=opts,
        )
        for n in (0, 1)
    ]
    aws.iam.InstanceProfile(
        "profile", name="profile", role=roles[changed].name, opts=opts
    )
    group = aws.ec2.SecurityGroup("group", name="group", vpc_id=vpcs[0].id, opts=opts)
    aws.vpc.SecurityGroupIngressRule(
        "rule",
        security_group_id=group.id,
        ip_protocol="tcp",
        from_port=443,
        to_port=8443 if changed else 443,
        cidr_ipv4="10.0.0.0/8",
        opts=opts,
    )
    aws.cloudwatch.LogGroup("logs", name="logs", skip_destroy=not changed, opts=opts)


def test_an_update_in_place_is_a_call_of_the_api(tiny: World) -> None:
    tiny.program = lambda: program(changed=False)
    tiny.up()
    tiny.program = lambda: program(changed=True)
    done = tiny.up()
    # The gateway, both roles, the profile, the rule and the log group.
    assert done.changes == {"same": 5, "update": 6}
    ec2, iam = tiny.account.client("ec2"), tiny.account.client("iam")
    (gateway,) = ec2.describe_internet_gateways()["InternetGateways"]
    (second,) = ec2.describe_vpcs(
        Filters=[{"Name": "cidr-block", "Values": ["10.1.0.0/16"]}]
    )["Vpcs"]
    assert [it["VpcId"] for it in gateway["Attachments"]] == [second["VpcId"]]
    boundary = iam.get_role(RoleName="role-0")["Role"]["PermissionsBoundary"]
    assert boundary["PermissionsBoundaryArn"] == BOUNDARY
    profile = iam.get_instance_profile(InstanceProfileName="profile")
    assert [it["RoleName"] for it in profile["InstanceProfile"]["Roles"]] == ["role-1"]
    rules = ec2.describe_security_group_rules()["SecurityGroupRules"]
    assert [it["ToPort"] for it in rules if it.get("FromPort") == 443] == [8443]
    assert tiny.destroy().changes == {"delete": 11}
