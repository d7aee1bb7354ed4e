"""A receiver that stores alerts, for inspection and tests."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.contracts import PORTS
from components.observability.settings import AlertRecorderSettings
from components.security import network, pod_defaults
from components.workload import Workload, http_probe

PORT = PORTS["alert_recorder"]["http"]
FOLDER = "/var/lib/alert-recorder"


class AlertRecorder(Workload):
    """The receiver of alerts.

    Creates, in the monitoring namespace:

    - ServiceAccount, Service (on every node too if a port is given), Deployment;
    - NetworkPolicy: called from its namespace, calls nobody.

    `webhook` is the address for Alertmanager. Its records end with the pod.
    """

    def __init__(
        self,
        name: str,
        settings: AlertRecorderSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:observability:AlertRecorder",
            name,
            namespace=naming.MONITORING_NAMESPACE,
            component="monitoring",
            opts=opts,
            former_type="slipway:monitoring:AlertRecorder",
        )
        self.webhook = f"http://{name}.{self.namespace}.svc:{PORT}/alerts"
        self.add_account()
        caller = () if settings.node_port else (network.SAME_NAMESPACE,)
        self.add_network_policy(
            ingress=[network.allow_from(*caller, to=(PORT,))], egress=[]
        )
        self.add_service(PORT, node_port=settings.node_port)
        container = pod_defaults.container(
            "alert-recorder",
            settings.image_reference,
            env=[
                {"name": "ALERT_RECORDER_PORT", "value": str(PORT)},
                {"name": "ALERT_RECORDER_FOLDER", "value": FOLDER},
            ],
            ports=[{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            resources=pod_defaults.resources(
                cpu_request_millicores=10,
                cpu_limit_millicores=200,
                memory_request_mib=32,
                memory_limit_mib=96,
            ),
            readinessProbe=http_probe("/healthz", "http", seconds=2),
            livenessProbe=http_probe("/healthz", "http", seconds=10, failures=6),
            volumeMounts=[{"name": "data", "mountPath": FOLDER}],
        )
        volume = {"name": "data", "emptyDir": {"sizeLimit": "64Mi"}}
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=self.metadata(),
            spec={
                "replicas": 1,
                "selector": {"matchLabels": self.selector},
                # With two pods, each would have only some of the alerts.
                "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": self.pod_metadata(**naming.scrape_annotations(PORT)),
                    "spec": pod_defaults.pod(
                        [container], service_account=name, volumes=[volume]
                    ),
                },
            },
            opts=self.options(),
        )
        self.register_outputs({"webhook": self.webhook})
