"""Alertmanager, and which receivers get alerts."""

from __future__ import annotations

import hashlib
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.observability.settings import AlertmanagerSettings
from components.observability.storage import Volumes, data_volume
from components.secret_data import secret_data
from components.security import network, pod_defaults
from components.workload import Workload, http_probe
from components.yaml_text import written

PORT = 9093
USER = 65534
DATA = "/alertmanager"
CONFIG = "/etc/alertmanager"
CONFIG_FILE = "alertmanager.yaml"
WEBHOOKS = "/etc/alertmanager-webhooks"
"""A file for each address: whoever has one can usually write to it."""


def configuration(settings: AlertmanagerSettings, recorder: str | None = None) -> str:
    """alertmanager.yaml: one receiver that posts each message to every address.

    `recorder`: address of the alert recorder. Those of the settings are in files.
    """
    receiver: dict[str, Any] = {"name": "all"}
    addresses = [{"url": recorder}] if recorder else []
    addresses += [
        {"url_file": f"{WEBHOOKS}/{number}"} for number in range(len(settings.webhooks))
    ]
    if addresses:
        receiver["webhook_configs"] = [
            {**it, "send_resolved": True} for it in addresses
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
    - Secret with the webhooks' addresses, if there are any;
    - StatefulSet of one pod, which forms no cluster with others;
    - NetworkPolicy: called by Prometheus and the model consoles, calls the receivers.

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
            "slipway:observability:Alertmanager",
            name,
            namespace=naming.MONITORING_NAMESPACE,
            component="monitoring",
            opts=opts,
            former_type="slipway:monitoring:Alertmanager",
        )
        self.settings = settings
        self.address = f"{name}.{self.namespace}.svc:{PORT}"
        text = configuration(settings, recorder)
        self.add_account()
        config = self.add_config({CONFIG_FILE: text})
        self._add_webhooks()
        self._add_network_policy()
        self.add_service(PORT, node_port=settings.node_port)
        self._add_stateful_set(config, hashlib.sha256(text.encode()).hexdigest()[:16])
        self.register_outputs({})

    def _add_webhooks(self) -> None:
        if self.settings.webhooks:
            numbered = {str(n): it for n, it in enumerate(self.settings.webhooks)}
            kubernetes.core.v1.Secret(
                f"{self.name}-webhooks",
                metadata=self.metadata(f"{self.name}-webhooks"),
                type="Opaque",
                data=secret_data(numbered),
                opts=self.options(),
            )

    def _add_network_policy(self) -> None:
        consoles = {
            **network.in_namespaces_labelled(naming.ROUTES_LABEL),
            **network.pods_of(naming.MODEL_CONSOLE),
        }
        caller = () if self.settings.node_port else (network.SAME_NAMESPACE, consoles)
        egress = [network.allow_dns(), network.allow_to(network.SAME_NAMESPACE)]
        if self.settings.webhooks:
            egress.append(network.allow_to(on=self.settings.webhook_ports))
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
        mounts: Volumes = []
        if self.settings.webhooks:
            # Read at each message: a changed address needs no new pod.
            source = {"secretName": f"{self.name}-webhooks", "defaultMode": 0o440}
            volumes.append({"name": "webhooks", "secret": source})
            mounts = [{"name": "webhooks", "mountPath": WEBHOOKS, "readOnly": True}]
        annotations = {
            "slipway.dev/config": digest,
            **naming.scrape_annotations(PORT),
        }
        template = {
            "metadata": self.pod_metadata(**annotations),
            "spec": pod_defaults.pod(
                [self._container(mounts)],
                service_account=self.name,
                user=USER,
                volumes=volumes,
            ),
        }
        self.add_stateful_set(template, claims)

    def _container(self, mounts: Volumes) -> Any:
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
            readinessProbe=http_probe("/-/ready", "http", seconds=2),
            livenessProbe=http_probe("/-/healthy", "http", seconds=10, failures=6),
            volumeMounts=[
                {"name": "config", "mountPath": CONFIG, "readOnly": True},
                {"name": "data", "mountPath": DATA},
                *mounts,
            ],
        )
