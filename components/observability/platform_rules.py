"""The platform's own alert rules in the cluster."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.observability import platform_alerts
from components.observability.settings import MonitoringSettings

NAME = "rules-platform"


class PlatformRules(pulumi.ComponentResource):
    """The platform's alert rules.

    Creates:

    - ConfigMap `rules-platform`, labelled so that Prometheus loads its file.
    """

    def __init__(
        self,
        name: str,
        settings: MonitoringSettings,
        *,
        gateway: bool,
        gpus: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        former = pulumi.Alias(type_="slipway:monitoring:PlatformRules")
        alias = pulumi.ResourceOptions(aliases=[former])
        opts = pulumi.ResourceOptions.merge(opts, alias)
        super().__init__("slipway:observability:PlatformRules", name, None, opts)
        found = platform_alerts.alerts(settings.alerts, gateway=gateway, gpus=gpus)
        kubernetes.core.v1.ConfigMap(
            name,
            metadata={
                "name": NAME,
                "namespace": naming.MONITORING_NAMESPACE,
                "labels": {
                    **naming.labels(NAME, component="rules"),
                    naming.RULES_LABEL: "true",
                },
            },
            data={"platform.yaml": platform_alerts.rule_file(found, settings.runbooks)},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
