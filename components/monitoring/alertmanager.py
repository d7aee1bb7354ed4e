"""Alertmanager, and which receivers get alerts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.monitoring.settings import AlertmanagerSettings
from components.monitoring.storage import data_volume
from components.security import network, pod_defaults
from components.workload import Workload, http_probe
from components.yaml_text import written

PORT = 9093
USER = 65534
DATA = "/alertmanager"
CONFIG = "/etc/alertmanager"
CONFIG_FILE = "alertmanager.yaml"
WEB_PORTS = (80, 443)


def configuration(settings: AlertmanagerSettings, webhooks: Sequence[str]) -> str:
    """alertmanager.yaml: one receiver that posts each message to every address."""
    receiver: dict[str, Any] = {"name": "all"}
    if webhooks:
        receiver["webhook_configs"] = [
            {"url": url, "send_resolved": True} for url in webhooks
        ]
    content = {
        "route": {
            "receiver": "all",
            "group_by": ["alertname", "namespace", "model"],
            "group_wait": f"{settings.group_wait_seconds}s",
            "group_interval": f"{settings.group_interval_seconds}s",
            "repeat_interval": f"{settings.repeat_interval_minutes}m",
        },
        "receivers": [receiver],
    }
    return written(content)


class Alertmanager(Workload):
    """The router of alerts.

    Creates, in the monitoring namespace:

    - ServiceAccount, ConfigMap, Service (on every node too if a port is given);
    - StatefulSet of one pod, which forms no cluster with others;
    - NetworkPolicy: called by Prometheus, calls the receivers.

    `address` is where Prometheus sends alerts.
    """

    def __init__(
        self,
        name: str,
        settings: AlertmanagerSettings,
        *,
        recorder: str | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`recorder`: address of the alert recorder."""
        super().__init__(
            "slipway:monitoring:Alertmanager",
            name,
            namespace=naming.MONITORING_NAMESPACE,
            component="monitoring",
            opts=opts,
        )
        self.settings = settings
        self.address = f"{name}.{self.namespace}.svc:{PORT}"
        webhooks = [*filter(None, [recorder]), *settings.webhooks]
        text = configuration(settings, webhooks)
        self.add_account()
        config = self.add_config({CONFIG_FILE: text})
        self._add_network_policy()
        self.add_service(PORT, node_port=settings.node_port)
        self._add_stateful_set(config, hashlib.sha256(text.encode()).hexdigest()[:16])
        self.register_outputs({})

    def _add_network_policy(self) -> None:
        caller = () if self.settings.node_port else (network.SAME_NAMESPACE,)
        egress = [network.allow_dns(), network.allow_to(network.SAME_NAMESPACE)]
        if self.settings.webhooks:
            egress.append(network.allow_to())
        self.add_network_policy(
            ingress=[network.allow_from(*caller, to=(PORT,))], egress=egress
        )

    def _add_stateful_set(
        self, config: kubernetes.core.v1.ConfigMap, digest: str
    ) -> None:
        volumes, claims = data_volume(self.settings.storage, self.labels)
        volumes.append(
            {"name": "config", "configMap": {"name": config.metadata["name"]}}
        )
        annotations = {
            "slipway.dev/config": digest,
            **naming.scrape_annotations(PORT),
        }
        spec: dict[str, Any] = {
            "replicas": 1,
            "serviceName": self.name,
            "selector": {"matchLabels": self.selector},
            "template": {
                "metadata": self.pod_metadata(**annotations),
                "spec": pod_defaults.pod(
                    [self._container()],
                    service_account=self.name,
                    user=USER,
                    volumes=volumes,
                ),
            },
        }
        if claims:
            spec["volumeClaimTemplates"] = claims
        kubernetes.apps.v1.StatefulSet(
            f"{self.name}-set",
            metadata=self.metadata(),
            spec=spec,
            opts=self.options(),
        )

    def _container(self) -> Any:
        return pod_defaults.container(
            "alertmanager",
            self.settings.image_reference,
            user=USER,
            args=[
                f"--config.file={CONFIG}/{CONFIG_FILE}",
                f"--storage.path={DATA}",
                f"--web.listen-address=:{PORT}",
                "--cluster.listen-address=",
            ],
            ports=[{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            resources=pod_defaults.resources(
                cpu_request_millicores=10,
                cpu_limit_millicores=500,
                memory_request_mib=32,
                memory_limit_mib=256,
            ),
            readiness_probe=http_probe("/-/ready", "http", seconds=2),
            liveness_probe=http_probe("/-/healthy", "http", seconds=10, failures=6),
            volume_mounts=[
                {"name": "config", "mountPath": CONFIG, "readOnly": True},
                {"name": "data", "mountPath": DATA},
            ],
        )
