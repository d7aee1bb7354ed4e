"""Settings of containers' logs in CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from components.cluster import production_rules
from components.cluster.cluster_parts import ClusterParts
from components.cluster.eks_settings import AddonVersion
from components.cluster.network.network_settings import LogRetentionDays
from components.cluster.production_rules import LEAST_RECORD_DAYS
from components.settings import Problem, Settings

OLDEST_WITH_POD_IDENTITY = (3, 1, 0)
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-setup-EKS-addon.html"""
ENDPOINT = "logs"


class ContainerLogsSettings(Settings):
    """Fluent Bit on every node sends what containers write to CloudWatch Logs."""

    version: AddonVersion
    """Full version of the add-on amazon-cloudwatch-observability, for example
    v6.2.0-eksbuild.1. None is pinned here: no documentation relates builds to
    Kubernetes versions."""
    retention_days: LogRetentionDays = 90
    """Days after which a log line is deleted."""
    configuration: dict[str, Any] = Field(default={}, validate_default=True)
    """Values of the add-on's own schema, merged over ours."""

    def contradictions(self) -> Iterator[Problem]:
        """A build that cannot get its rights by a pod identity."""
        numbers = self.version.removeprefix("v").partition("-")[0].split(".")
        if tuple(map(int, numbers)) < OLDEST_WITH_POD_IDENTITY:
            oldest = ".".join(map(str, OLDEST_WITH_POD_IDENTITY))
            yield Problem(
                "version",
                self.version,
                "this version takes no rights from a pod identity, and nodes have none "
                "to write logs",
                f"give v{oldest} or later",
            )


def problems(settings: ClusterParts, logs: ContainerLogsSettings) -> Iterator[Problem]:
    """Report logs that cannot reach CloudWatch, or that production needs."""
    if settings.account.production and logs.retention_days < LEAST_RECORD_DAYS:
        yield production_rules.too_short("container_logs", logs.retention_days)
    network = settings.network
    if (
        network.makes_vpc
        and network.nat == "none"
        and ENDPOINT not in network.endpoints
    ):
        yield Problem(
            "container_logs",
            {"version": logs.version},
            "there is no NAT, and the VPC has no endpoint of CloudWatch Logs",
            f"add {ENDPOINT} to network.endpoints, or leave container_logs out",
        )
