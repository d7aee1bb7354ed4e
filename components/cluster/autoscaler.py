"""Karpenter's part in the AWS account: permissions, its nodes' access, its queue."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components import naming
from components.cluster.iam import karpenter_policies, names
from components.cluster.iam.arns import Arns
from components.cluster.iam.identity import PodIdentity
from components.cluster.iam.tags import tags

EVENTS = {
    "health": ("aws.health", "AWS Health Event"),
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
    "reservation": (
        "aws.ec2",
        "EC2 Capacity Reservation Instance Interruption Warning",
    ),
}
"""Source and kind of each event that Karpenter reads, by the name of its rule.
https://karpenter.sh/docs/concepts/disruption/#interruption"""
RETENTION_SECONDS = 300
"""A warning comes two minutes before the end; older ones are useless."""


class Autoscaler(pulumi.ComponentResource):
    """What Karpenter needs in the account.

    Creates:

    - an SQS queue, encrypted, written by the rules alone and over TLS only;
    - an EventBridge rule with the queue as its target for each kind of event;
    - the instance profile of its nodes;
    - the controller's role by pod identity;
    - an access entry, by which its nodes join the cluster. Managed node groups make one
      for the same role themselves if there is none.
    """

    def __init__(
        self,
        name: str,
        *,
        cluster: str,
        arns: Arns,
        node_role_arn: pulumi.Input[str],
        reservations: Sequence[str] = (),
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`reservations`: ids of those that elastic pools draw on.

        `after`: the cluster, without which there is nothing to give access to.
        """
        super().__init__("slipway:cluster:Autoscaler", name, None, opts)
        self._prefix, self._cluster, self._arns = name, cluster, arns
        self.queue_name = names.interruption_queue(cluster)
        self._queue()
        role = pulumi.Output.from_input(node_role_arn)
        aws.iam.InstanceProfile(
            f"{name}-nodes",
            name=names.node_profile(cluster),
            role=role.apply(lambda arn: arn.rpartition("/")[2]),
            tags=tags(cluster, names.node_profile(cluster)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.identity = PodIdentity(
            f"{name}-controller",
            arns=arns,
            cluster=cluster,
            namespace=naming.KARPENTER_NAMESPACE,
            service_account=naming.KARPENTER,
            policy=karpenter_policies.controller(
                arns,
                cluster=cluster,
                node_role=names.node_role(cluster),
                queue=self.queue_name,
                reservations=tuple(sorted(set(reservations))),
            ),
            after=after,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.node_access = aws.eks.AccessEntry(
            f"{name}-nodes",
            cluster_name=cluster,
            principal_arn=node_role_arn,
            type="EC2_LINUX",
            tags=tags(cluster, names.node_role(cluster)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )
        """Access of nodes; created first, as node groups would create it otherwise."""
        self.register_outputs({"queue": self.queue_name})

    def _queue(self) -> None:
        cluster, name = self._cluster, self.queue_name
        rules = {short: f"{cluster}-karpenter-{short}" for short in EVENTS}
        queue = aws.sqs.Queue(
            f"{self._prefix}-interruptions",
            name=name,
            message_retention_seconds=RETENTION_SECONDS,
            # EventBridge cannot write with AWS's own KMS key for SQS.
            sqs_managed_sse_enabled=True,
            tags=tags(cluster, name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        policy = aws.sqs.QueuePolicy(
            f"{self._prefix}-interruptions",
            queue_url=queue.url,
            policy=karpenter_policies.queue(
                self._arns, name, tuple(rules.values())
            ).json(),
            opts=pulumi.ResourceOptions(parent=queue),
        )
        for short, (source, kind) in EVENTS.items():
            rule = aws.cloudwatch.EventRule(
                f"{self._prefix}-{short}",
                name=rules[short],
                description=f"{kind}, for Karpenter in {cluster}",
                event_pattern=json.dumps({"source": [source], "detail-type": [kind]}),
                tags=tags(cluster, rules[short]),
                opts=pulumi.ResourceOptions(parent=self),
            )
            aws.cloudwatch.EventTarget(
                f"{self._prefix}-{short}",
                rule=rule.name,
                target_id="karpenter",
                arn=queue.arn,
                opts=pulumi.ResourceOptions(parent=rule, depends_on=[policy]),
            )
