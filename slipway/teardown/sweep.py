"""Deletes by AWS's API what controllers made, where they did not do it themselves.

Only resources with the cluster's own tags. Volumes hold data of users: they are deleted
only where that is asked for, and listed otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from slipway.account import AwsCall, CannotAskError, Client
from slipway.teardown.aws import Found, Made
from slipway.waiting import Waiting

INSTANCE_SECONDS = 300.0
Delete = Callable[[Client, str], object]

DELETIONS: Mapping[str, tuple[str, str, str]] = {
    "load balancer": ("elbv2", "delete_load_balancer", "LoadBalancerArn"),
    "target group": ("elbv2", "delete_target_group", "TargetGroupArn"),
    "classic load balancer": ("elb", "delete_load_balancer", "LoadBalancerName"),
    "interface": ("ec2", "delete_network_interface", "NetworkInterfaceId"),
    "security group": ("ec2", "delete_security_group", "GroupId"),
    "launch template": ("ec2", "delete_launch_template", "LaunchTemplateId"),
    "volume": ("ec2", "delete_volume", "VolumeId"),
}
"""Service, call and the name of its parameter by kind."""


class Sweep:
    """One pass over all kinds; what cannot be deleted yet is left for the next."""

    def __init__(self, found: Found, waiting: Waiting, *, volumes: bool) -> None:
        self._found, self._waiting, self._volumes = found, waiting, volumes

    def run(self) -> list[Made]:
        """Return the deleted resources."""
        deleted = self._nodes()
        kinds = [
            self._found.load_balancers,
            self._found.classic_load_balancers,
            self._found.interfaces,
            self._found.security_groups,
            self._found.launch_templates,
        ]
        if self._volumes:
            kinds.append(self._found.volumes)
        for list_ in kinds:
            deleted += [one for one in self._listed(list_) if self._delete(one)]
        return deleted

    def _nodes(self) -> list[Made]:
        nodes = self._listed(self._found.nodes)
        if not nodes:
            return []
        self._waiting.say(f"terminating {len(nodes)} instances of Karpenter's")
        try:
            with AwsCall("ec2", "terminate_instances"):
                ids = [node.id for node in nodes]
                self._found.client("ec2").terminate_instances(InstanceIds=ids)
        except CannotAskError as error:
            self._waiting.say(f"not terminated: {error}")
            return []
        self._waiting.until_gone(
            "instances",
            lambda: [node.id for node in self._listed(self._found.nodes)],
            INSTANCE_SECONDS,
        )
        return nodes

    def _delete(self, one: Made) -> bool:
        service, call, parameter = DELETIONS[one.kind]
        try:
            with AwsCall(service, call):
                getattr(self._found.client(service), call)(**{parameter: one.id})
        except CannotAskError as error:
            self._waiting.say(f"{one} is left: {error.why}")
            return False
        self._waiting.say(f"deleted {one}")
        return True

    def _listed(self, list_: Callable[[], list[Made]]) -> list[Made]:
        try:
            return list_()
        except CannotAskError as error:
            self._waiting.say(f"could not look for {list_.__name__}: {error}")
            return []
