"""CPU and memory use of pods and nodes, behind the resource metrics API."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from components.platform.settings import MetricsServerSettings
from components.security import api_access, network, pod_defaults
from components.workload import Workload, http_probe

NAMESPACE = "kube-system"
PORT = 10250
KUBELET_PORT = 10250
REQUEST_SHARE = 0.5
"""A kubelet may take this share of the resolution; it must be less than all of it."""
USER = 65532
CERTIFICATES = "/var/run/metrics-server"
READER = "slipway:aggregated-metrics-reader"


class MetricsServer(Workload):
    """The resource metrics of the cluster.

    Creates, in kube-system:

    - ServiceAccount and its rights: read nodes and pods, ask kubelets for metrics,
      have callers authenticated;
    - ClusterRole that lets viewers read the metrics;
    - Service and Deployment;
    - NetworkPolicy: asked by the API server, asks kubelets;
    - APIService `v1beta1.metrics.k8s.io`, which puts it into the cluster's API.
    """

    def __init__(
        self,
        name: str,
        settings: MetricsServerSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:platform:MetricsServer",
            name,
            namespace=NAMESPACE,
            component="metrics",
            opts=opts,
        )
        self._add_rights()
        # The API server, which is not a pod, comes in from a node's address.
        self.add_network_policy(
            ingress=[network.allow_from(to=(PORT,))],
            egress=[
                network.allow_api_server(),
                network.allow_to(on=(KUBELET_PORT,)),
            ],
        )
        service = self.add_service(443, port_name="https")
        deployment = self._add_deployment(settings)
        kubernetes.apiregistration.v1.APIService(
            f"{self.name}-api",
            metadata=self.cluster_metadata("v1beta1.metrics.k8s.io"),
            spec={
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                # It signs its own certificate at each start, as its releases do.
                "insecureSkipTLSVerify": True,
                "service": {"name": self.name, "namespace": NAMESPACE, "port": 443},
            },
            opts=self.options(depends_on=[service, deployment]),
        )
        self.register_outputs({})

    def _add_rights(self) -> None:
        self.add_account()
        self.add_cluster_role(
            "slipway:metrics-server",
            [
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {
                    "apiGroups": [""],
                    "resources": ["pods", "nodes"],
                    "verbs": ["get", "list", "watch"],
                },
            ],
        )
        self.bind_cluster_role(
            f"{self.name}-delegator",
            "slipway:metrics-server:auth-delegator",
            "system:auth-delegator",
        )
        self.bind_role(
            f"{self.name}-auth-reader",
            "slipway-metrics-server-auth-reader",
            "Role",
            "extension-apiserver-authentication-reader",
        )
        aggregated = {
            f"rbac.authorization.k8s.io/aggregate-to-{who}": "true"
            for who in ("admin", "edit", "view")
        }
        kubernetes.rbac.v1.ClusterRole(
            f"{self.name}-reader",
            metadata={
                "name": READER,
                "labels": {**self.labels, **aggregated},
            },
            rules=[
                {
                    "apiGroups": ["metrics.k8s.io"],
                    "resources": ["pods", "nodes"],
                    "verbs": ["get", "list", "watch"],
                }
            ],
            opts=self.options(),
        )

    def _add_deployment(
        self, settings: MetricsServerSettings
    ) -> kubernetes.apps.v1.Deployment:
        seconds = settings.resolution_seconds
        arguments = [
            f"--cert-dir={CERTIFICATES}",
            f"--secure-port={PORT}",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            f"--metric-resolution={seconds}s",
            f"--kubelet-request-timeout={int(seconds * REQUEST_SHARE)}s",
        ]
        if settings.kubelet_insecure_tls:
            arguments.append("--kubelet-insecure-tls")
        container = pod_defaults.container(
            "metrics-server",
            settings.image_reference,
            user=USER,
            args=arguments,
            ports=[{"name": "https", "containerPort": PORT, "protocol": "TCP"}],
            resources=pod_defaults.resources(
                cpu_request_millicores=25,
                cpu_limit_millicores=500,
                memory_request_mib=64,
                memory_limit_mib=256,
            ),
            readinessProbe=http_probe("/readyz", "https", seconds=2, scheme="HTTPS"),
            livenessProbe=http_probe(
                "/livez", "https", seconds=10, failures=6, scheme="HTTPS"
            ),
            volumeMounts=[
                {"name": "certificates", "mountPath": CERTIFICATES},
                api_access.mount(),
            ],
        )
        return kubernetes.apps.v1.Deployment(
            f"{self.name}-deployment",
            metadata=self.metadata(),
            spec={
                "replicas": 1,
                "selector": {"matchLabels": self.selector},
                "template": {
                    "metadata": self.pod_metadata(),
                    "spec": pod_defaults.pod(
                        [container],
                        service_account=self.name,
                        user=USER,
                        priorityClassName="system-cluster-critical",
                        volumes=[
                            {"name": "certificates", "emptyDir": {"sizeLimit": "1Mi"}},
                            api_access.volume(),
                        ],
                    ),
                },
            },
            opts=self.options(),
        )
