"""Containers' logs in CloudWatch, by AWS's own add-on with Fluent Bit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_aws as aws

from components import reserved_names
from components.cluster.addons import merged
from components.cluster.container_logs_settings import ContainerLogsSettings
from components.cluster.iam import policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.identity import PodIdentity
from components.cluster.iam.policy_document import PolicyDocument, Statement
from components.cluster.iam.tags import tags
from components.cluster.storage import storage_names
from components.cluster.storage.encryption_key import EncryptionKey

ADDON = "amazon-cloudwatch-observability"
NAMESPACE = reserved_names.CONTAINER_LOGS_NAMESPACE
SERVICE_ACCOUNT = "cloudwatch-agent"
"""Of Fluent Bit and of the agent. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/install-CloudWatch-Observability-EKS-addon.html"""
GROUPS = ("application", "dataplane", "host", "performance")
"""What the add-on writes into: containers, the network's and the kubelet's own logs,
the nodes' system logs, and the agent's measurements."""
CONFIGURATION: dict[str, Any] = {
    "containerLogs": {"enabled": True},
    # Prometheus measures already. Otherwise the agent sends metrics of each container
    # and traces requests, both billed by observation.
    "agent": {
        "config": {
            "logs": {
                "metrics_collected": {
                    "kubernetes": {"enhanced_container_insights": False}
                }
            }
        }
    },
}


def writer(arns: Arns, cluster: str) -> PolicyDocument:
    """Streams and lines of the cluster's own groups; groups can only be found at all.

    Fluent Bit creates its group before it writes. It accepts "already exists" but
    treats a denial as an error, so it may create groups with these names.
    """
    groups = [arns.log_group(group) for group in groups_of(cluster)]
    return PolicyDocument(
        (
            Statement(
                sid="WriteContainerLogs",
                actions=(
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ),
                # CloudWatch checks stream ARNs in either form.
                resources=tuple(form for it in groups for form in (it, f"{it}:*")),
            ),
            Statement(
                sid="FindLogGroups",
                actions=("logs:DescribeLogGroups",),
                resources=(arns.log_group("*"),),
            ),
        )
    )


def groups_of(cluster: str) -> tuple[str, ...]:
    """The names of the log groups, which cannot be chosen."""
    return tuple(storage_names.container_log_group(cluster, it) for it in GROUPS)


@dataclass(frozen=True)
class ContainerLogsArgs:
    """Of which cluster."""

    cluster: str
    arns: Arns
    protect: bool
    """Whether neither the engine nor the console deletes the key."""
    after: Sequence[pulumi.Resource]
    """The nodes that the add-on runs on."""


class ContainerLogs(pulumi.ComponentResource):
    """Logs of all containers of a cluster.

    Creates:

    - a KMS key (alias `<cluster>-container-logs`) and, with it and a retention, the log
      groups `/aws/containerinsights/<cluster>/` application, dataplane, host and
      performance, before anything could write into them;
    - a pod identity that may write into these groups and do nothing else;
    - the add-on amazon-cloudwatch-observability, with Fluent Bit on every node; the
      agent's measurements and traces are off.
    """

    def __init__(
        self,
        name: str,
        settings: ContainerLogsSettings,
        args: ContainerLogsArgs,
        *,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:cluster:ContainerLogs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        cluster, arns, after = args.cluster, args.arns, args.after
        users = [
            replace(policies.logs_use_key(arns, group), sid=f"Encrypt{kind.title()}")
            for kind, group in zip(GROUPS, groups_of(cluster), strict=True)
        ]
        key = EncryptionKey(
            f"{name}-key",
            alias=storage_names.container_log_key_alias(cluster),
            purpose="logs of containers",
            policy=policies.key(arns, *users),
            cluster=cluster,
            protect=args.protect,
            opts=child,
        )
        groups = [
            aws.cloudwatch.LogGroup(
                f"{name}-{kind}",
                name=group,
                retention_in_days=settings.retention_days,
                kms_key_id=key.arn,
                tags=tags(cluster, group),
                opts=child,
            )
            for kind, group in zip(GROUPS, groups_of(cluster), strict=True)
        ]
        identity = PodIdentity(
            f"{name}-{ADDON}",
            arns=arns,
            cluster=cluster,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            policy=writer(arns, cluster),
            after=after,
            opts=child,
        )
        values = merged(CONFIGURATION, settings.configuration)
        aws.eks.Addon(
            f"{name}-{ADDON}",
            cluster_name=cluster,
            addon_name=ADDON,
            addon_version=settings.version,
            configuration_values=json.dumps(values, sort_keys=True),
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            preserve=False,
            tags=tags(cluster, f"{cluster}-{ADDON}"),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*after, *groups, identity.association]
            ),
        )
        self.register_outputs({})
