"""Resources in the AWS account that a cluster's controllers created, by tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from slipway.account import AwsCall, CannotAskError, Client, session_clients
from slipway.cluster.target import Target

OWNED = "owned"
LIVE = ("pending", "running", "stopping", "stopped")
TAGS_A_CALL = 20
"""Load balancers whose tags one call takes.
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html"""
Filters = list[dict[str, Any]]


def owned_by(name: str) -> str:
    """The tag that controllers put on what is a cluster's alone."""
    return f"kubernetes.io/cluster/{name}"


@dataclass(frozen=True)
class Made:
    """One thing that a controller made."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class Found:
    """The account's resources with the cluster's tags.

    Each method lists one kind; CannotAskError where the caller may not see it.
    """

    def __init__(
        self, target: Target, client: Callable[[str], Client] | None = None
    ) -> None:
        self.target = target
        self._make = client or session_clients(target.region)
        self._clients: dict[str, Client] = {}

    def client(self, service: str) -> Client:
        if service not in self._clients:
            self._clients[service] = self._make(service)
        return self._clients[service]

    def account(self) -> str:
        """Return the account of the credentials."""
        with AwsCall("sts", "get_caller_identity"):
            return str(self.client("sts").get_caller_identity()["Account"])

    def nodes(self) -> list[Made]:
        """Instances that Karpenter launched."""
        found = self._ec2(
            "describe_instances",
            "Reservations",
            [
                {"Name": f"tag:{owned_by(self.target.name)}", "Values": [OWNED]},
                {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
                {"Name": "instance-state-name", "Values": [*LIVE, "shutting-down"]},
            ],
        )
        return [
            Made("instance", i["InstanceId"]) for r in found for i in r["Instances"]
        ]

    def volumes(self) -> list[Made]:
        """Volumes of claims; their data is the cluster's users'."""
        found = self._ec2(
            "describe_volumes",
            "Volumes",
            [
                {"Name": f"tag:{owned_by(self.target.name)}", "Values": [OWNED]},
                {"Name": "tag-key", "Values": ["kubernetes.io/created-for/pvc/name"]},
            ],
        )
        return [Made("volume", v["VolumeId"]) for v in found]

    def interfaces(self) -> list[Made]:
        """Interfaces that vpc-cni made and nobody took away; they hold their subnet."""
        name = self.target.name
        found = self._ec2(
            "describe_network_interfaces",
            "NetworkInterfaces",
            [
                {"Name": "tag:cluster.k8s.amazonaws.com/name", "Values": [name]},
                {"Name": "status", "Values": ["available"]},
            ],
        )
        return [Made("interface", i["NetworkInterfaceId"]) for i in found]

    def security_groups(self) -> list[Made]:
        """Groups of load balancers; EKS takes its own away with the cluster."""
        name = self.target.name
        by_controller = {"Name": "tag:elbv2.k8s.aws/cluster", "Values": [name]}
        by_provider = [
            {"Name": f"tag:{owned_by(name)}", "Values": [OWNED]},
            {"Name": "group-name", "Values": ["k8s-elb-*"]},
        ]
        call, key = "describe_security_groups", "SecurityGroups"
        found = [*self._ec2(call, key, [by_controller])]
        found += self._ec2(call, key, by_provider)
        ids = dict.fromkeys(group["GroupId"] for group in found)
        return [Made("security group", id_) for id_ in ids]

    def launch_templates(self) -> list[Made]:
        """Templates that Karpenter made."""
        tag = {"Name": "tag:karpenter.k8s.aws/cluster", "Values": [self.target.name]}
        found = self._ec2("describe_launch_templates", "LaunchTemplates", [tag])
        return [Made("launch template", t["LaunchTemplateId"]) for t in found]

    def load_balancers(self) -> list[Made]:
        """Network and application load balancers, and their target groups."""
        return [
            *self._elb("load balancer", "describe_load_balancers", "LoadBalancer"),
            *self._elb("target group", "describe_target_groups", "TargetGroup"),
        ]

    def classic_load_balancers(self) -> list[Made]:
        """Classic ones, which the in-tree controller makes without annotations."""
        with AwsCall("elb", "describe_load_balancers"):
            client = self.client("elb")
            pages = client.get_paginator("describe_load_balancers").paginate()
            names = [
                one["LoadBalancerName"]
                for page in pages
                for one in page["LoadBalancerDescriptions"]
            ]
            return [
                Made("classic load balancer", one["LoadBalancerName"])
                for batch in _batches(names)
                for one in client.describe_tags(LoadBalancerNames=batch)[
                    "TagDescriptions"
                ]
                if self._is_ours(one["Tags"])
            ]

    def _elb(self, kind: str, call: str, word: str) -> list[Made]:
        with AwsCall("elbv2", call):
            client = self.client("elbv2")
            arns = [
                one[f"{word}Arn"]
                for page in client.get_paginator(call).paginate()
                for one in page[f"{word}s"]
            ]
            return [
                Made(kind, one["ResourceArn"])
                for batch in _batches(arns)
                for one in client.describe_tags(ResourceArns=batch)["TagDescriptions"]
                if self._is_ours(one["Tags"])
            ]

    def _is_ours(self, tags: list[dict[str, str]]) -> bool:
        name = self.target.name
        found = {tag["Key"]: tag.get("Value", "") for tag in tags}
        by_controller = found.get("elbv2.k8s.aws/cluster") == name
        return by_controller or found.get(owned_by(name)) == OWNED

    def _ec2(self, call: str, key: str, filters: Filters) -> list[dict[str, Any]]:
        with AwsCall("ec2", call):
            pages = self.client("ec2").get_paginator(call).paginate(Filters=filters)
            return [item for page in pages for item in page[key]]


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), TAGS_A_CALL):
        yield names[start : start + TAGS_A_CALL]


def seen(list_: Callable[[], list[Made]]) -> tuple[list[Made], str]:
    """Return the existing resources, and the reason if they could not be read."""
    try:
        return list_(), ""
    except CannotAskError as error:
        return [], str(error)
