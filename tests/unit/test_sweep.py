"""What is found by tags in the account, deleted and listed."""

from __future__ import annotations

import pytest

from slipway.cluster.target import Target
from slipway.teardown import leftovers
from slipway.teardown.aws import Found, Made
from slipway.teardown.sweep import DELETIONS, Sweep
from slipway.waiting import Waiting
from tests.support.fake_cluster import Clock
from tests.support.stubbed import Stubbed

TARGET = Target("serving", "111122223333", "us-east-1")
OWNED = [{"Key": "kubernetes.io/cluster/serving", "Value": "owned"}]
ARN = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/"


class Listed(Found):
    """Kinds as given; what is not given is not there."""

    def __init__(self, aws: Stubbed, **kinds: list[Made]) -> None:
        super().__init__(TARGET, aws.client)
        self.kinds = kinds

    def _of(self, name: str) -> list[Made]:
        return self.kinds.get(name, [])

    def nodes(self) -> list[Made]:
        found = self._of("nodes")
        self.kinds["nodes"] = []
        return found

    def volumes(self) -> list[Made]:
        return self._of("volumes")

    def interfaces(self) -> list[Made]:
        return self._of("interfaces")

    def security_groups(self) -> list[Made]:
        return self._of("security_groups")

    def launch_templates(self) -> list[Made]:
        return self._of("launch_templates")

    def load_balancers(self) -> list[Made]:
        return self._of("load_balancers")

    def classic_load_balancers(self) -> list[Made]:
        return self._of("classic_load_balancers")


def sweep(found: Found, *, volumes: bool = False) -> tuple[list[Made], list[str]]:
    clock = Clock()
    waiting = Waiting(clock.said.append, lambda: clock.now, clock.sleep)
    return Sweep(found, waiting, volumes=volumes).run(), clock.said


def test_nodes_go_first_then_balancers_and_what_they_held() -> None:
    aws = Stubbed()
    kinds = {
        "nodes": [Made("instance", "i-1")],
        "load_balancers": [Made("load balancer", ARN + "a")],
        "interfaces": [Made("interface", "eni-1")],
        "security_groups": [Made("security group", "sg-1")],
        "launch_templates": [Made("launch template", "lt-1")],
        "volumes": [Made("volume", "vol-1")],
    }
    aws.says("ec2", "terminate_instances", {}, InstanceIds=["i-1"])
    aws.says("elbv2", "delete_load_balancer", {}, LoadBalancerArn=ARN + "a")
    aws.says("ec2", "delete_network_interface", {}, NetworkInterfaceId="eni-1")
    aws.says("ec2", "delete_security_group", {}, GroupId="sg-1")
    aws.says("ec2", "delete_launch_template", {}, LaunchTemplateId="lt-1")
    deleted, _ = sweep(Listed(aws, **kinds))
    aws.all_asked()
    assert [one.id for one in deleted] == ["i-1", ARN + "a", "eni-1", "sg-1", "lt-1"]


def test_volumes_are_deleted_only_if_asked_for() -> None:
    aws = Stubbed()
    volume = {"volumes": [Made("volume", "vol-1")]}
    assert sweep(Listed(aws, **volume))[0] == []
    aws.says("ec2", "delete_volume", {}, VolumeId="vol-1")
    assert sweep(Listed(aws, **volume), volumes=True)[0] == volume["volumes"]
    aws.all_asked()


def test_what_cannot_be_deleted_yet_is_reported_and_stops_nothing() -> None:
    aws = Stubbed()
    aws.refuses("ec2", "delete_security_group", "DependencyViolation", "in use")
    aws.says("ec2", "delete_launch_template", {})
    kinds = {
        "security_groups": [Made("security group", "sg-1")],
        "launch_templates": [Made("launch template", "lt-1")],
    }
    deleted, said = sweep(Listed(aws, **kinds))
    assert [one.id for one in deleted] == ["lt-1"]
    assert said[0].startswith("security group sg-1 is left: ")


def test_a_kind_that_may_not_be_listed_is_reported() -> None:
    aws = Stubbed()
    aws.refuses("ec2", "describe_network_interfaces", "UnauthorizedOperation")
    found = Found(TARGET, aws.client)
    with pytest.raises(Exception, match="UnauthorizedOperation"):
        found.interfaces()


def test_every_deletion_is_a_call_that_its_client_has() -> None:
    aws = Stubbed()
    for service, call, parameter in DELETIONS.values():
        client = aws.client(service)
        operation = client.meta.method_to_api_mapping[call]
        members = client.meta.service_model.operation_model(operation).input_shape
        assert parameter in members.members


def test_only_load_balancers_with_the_clusters_tags_are_its_own() -> None:
    aws = Stubbed()
    arns = [ARN + name for name in ("a", "b", "c")]
    balancers = [{"LoadBalancerArn": arn} for arn in arns]
    aws.says("elbv2", "describe_load_balancers", {"LoadBalancers": balancers})
    tags = [
        [{"Key": "elbv2.k8s.aws/cluster", "Value": "serving"}],
        [{"Key": "elbv2.k8s.aws/cluster", "Value": "other"}],
        OWNED,
    ]
    told = [{"ResourceArn": a, "Tags": t} for a, t in zip(arns, tags, strict=True)]
    aws.says("elbv2", "describe_tags", {"TagDescriptions": told}, ResourceArns=arns)
    aws.says("elbv2", "describe_target_groups", {"TargetGroups": []})
    found = Found(TARGET, aws.client).load_balancers()
    assert [one.id for one in found] == [arns[0], arns[2]]


def test_instances_are_asked_for_by_owner_pool_and_state() -> None:
    aws = Stubbed()
    states = ["pending", "running", "stopping", "stopped", "shutting-down"]
    filters = [
        {"Name": "tag:kubernetes.io/cluster/serving", "Values": ["owned"]},
        {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
        {"Name": "instance-state-name", "Values": states},
    ]
    answer = {"Reservations": [{"Instances": [{"InstanceId": "i-1"}]}]}
    aws.says("ec2", "describe_instances", answer, Filters=filters)
    assert Found(TARGET, aws.client).nodes() == [Made("instance", "i-1")]


# Leftovers


def tagged(aws: Stubbed, *arns: str) -> None:
    service, call = "resourcegroupstaggingapi", "get_resources"
    found = [{"ResourceARN": arn} for arn in arns]
    aws.says(service, call, {"ResourceTagMappingList": found})


def test_leftovers_are_what_is_tagged_and_really_there() -> None:
    aws = Stubbed()
    place = "us-east-1:111122223333"
    gone, there = f"arn:aws:ec2:{place}:instance/i-1", f"arn:aws:sqs:{place}:serving"
    key, subnet = f"arn:aws:kms:{place}:key/k", f"arn:aws:ec2:{place}:subnet/s-1"
    tagged(aws, gone, there, key)
    tagged(aws, there)
    tagged(aws, subnet)
    ended = {"InstanceId": "i-1", "State": {"Name": "terminated"}}
    answer = {"Reservations": [{"Instances": [ended]}]}
    aws.says("ec2", "describe_instances", answer)
    state = {"KeyMetadata": {"KeyId": "k", "KeyState": "PendingDeletion"}}
    aws.says("kms", "describe_key", state)
    aws.refuses("ec2", "describe_subnets", "InvalidSubnetID.NotFound")
    volumes = {"volumes": [Made("volume", "vol-1")]}
    found = leftovers.find(Listed(aws, **volumes))
    aws.all_asked()
    assert [(one.kind, one.id) for one in found] == [
        ("sqs queue", "serving"),
        ("ec2 volume", "vol-1"),
    ]
    assert found[0].tag == "slipway.dev/cluster"


def test_what_cannot_be_asked_about_counts_as_left() -> None:
    aws = Stubbed()
    tagged(aws, "arn:aws:ec2:us-east-1:111122223333:volume/vol-1")
    tagged(aws)
    tagged(aws)
    aws.refuses("ec2", "describe_volumes", "UnauthorizedOperation")
    assert [one.id for one in leftovers.find(Listed(aws))] == ["vol-1"]


@pytest.mark.parametrize(
    ("arn", "wanted"),
    [
        ("arn:aws:s3:::bucket-1", ("s3", "bucket", "bucket-1")),
        ("arn:aws:ec2:r:1:volume/vol-1", ("ec2", "volume", "vol-1")),
        ("arn:aws:logs:r:1:log-group:/aws/eks/x", ("logs", "log-group", "/aws/eks/x")),
        ("arn:aws:sqs:r:1:serving", ("sqs", "queue", "serving")),
    ],
)
def test_an_arn_is_taken_apart(arn: str, wanted: tuple[str, str, str]) -> None:
    assert leftovers.parts(arn) == wanted
