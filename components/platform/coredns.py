"""Cluster DNS, for clusters that have none yet."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.platform.settings import CoreDnsSettings
from components.security import api_access, network, pod_defaults
from components.workload import Workload, http_probe

NAMESPACE = "kube-system"
SERVICE = "kube-dns"
"""The name that kubeadm and other programs look for."""
PORT = 1053
"""Needs no privilege; the Service gives pods the usual 53."""
HEALTH_PORT = 8080
READY_PORT = 8181
METRICS_PORT = 9153
USER = 65532

# No `forward`: the lab's pods have no DNS outside. `lameduck` keeps answering while
# the Service's endpoints forget a pod that stops.
COREFILE = """\
.:{port} {{
    errors
    health :{health} {{
        lameduck 5s
    }}
    ready :{ready}
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :{metrics}
    cache 30
    loop
    reload
    loadbalance
}}
"""


class CoreDns(Workload):
    """The DNS of the cluster.

    Creates, in kube-system:

    - ServiceAccount, ClusterRole and binding to read Services and endpoints;
    - ConfigMap with the Corefile;
    - Service `kube-dns` with the fixed address;
    - Deployment, spread over nodes, and a PodDisruptionBudget;
    - NetworkPolicy: questions from anywhere, metrics by monitoring.
    """

    def __init__(
        self,
        name: str,
        settings: CoreDnsSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:platform:CoreDns",
            name,
            namespace=NAMESPACE,
            component="dns",
            opts=opts,
        )
        self.add_account()
        self.add_cluster_role(
            "slipway:coredns",
            [
                {
                    "apiGroups": [""],
                    "resources": ["services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        )
        config = self.add_config(
            {
                "Corefile": COREFILE.format(
                    port=PORT,
                    health=HEALTH_PORT,
                    ready=READY_PORT,
                    metrics=METRICS_PORT,
                    domain=settings.domain,
                )
            }
        )
        monitoring = network.in_namespace(naming.MONITORING_NAMESPACE)
        self.add_network_policy(
            ingress=[
                {"ports": network.ports(PORT, protocols=("UDP", "TCP"))},
                network.allow_from(monitoring, to=(METRICS_PORT,)),
            ],
            egress=[network.allow_api_server()],
        )
        self._add_service(settings)
        self.add_disruption_budget(settings.replicas)
        self._add_deployment(settings, config)
        self.register_outputs({})

    def _add_service(self, settings: CoreDnsSettings) -> None:
        kubernetes.core.v1.Service(
            f"{self.name}-service",
            metadata={
                **self.metadata(SERVICE),
                "labels": {**self.labels, "k8s-app": SERVICE},
                "annotations": naming.SERVICE_WAIT,
            },
            spec={
                "type": "ClusterIP",
                "clusterIP": settings.cluster_ip,
                "selector": self.selector,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
                    {
                        "name": "dns-tcp",
                        "port": 53,
                        "protocol": "TCP",
                        "targetPort": "dns-tcp",
                    },
                ],
            },
            opts=self.options(),
        )

    def _add_deployment(
        self, settings: CoreDnsSettings, config: kubernetes.core.v1.ConfigMap
    ) -> None:
        container = pod_defaults.container(
            "coredns",
            settings.image_reference,
            user=USER,
            args=["-conf", "/etc/coredns/Corefile"],
            ports=[
                {"name": "dns", "containerPort": PORT, "protocol": "UDP"},
                {"name": "dns-tcp", "containerPort": PORT, "protocol": "TCP"},
                {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
            ],
            resources=pod_defaults.resources(
                cpu_request_millicores=25,
                cpu_limit_millicores=500,
                memory_request_mib=48,
                memory_limit_mib=170,
            ),
            readinessProbe=http_probe("/ready", READY_PORT, seconds=2),
            livenessProbe=http_probe("/health", HEALTH_PORT, seconds=10, failures=5),
            volumeMounts=[
                {"name": "config", "mountPath": "/etc/coredns", "readOnly": True},
                api_access.mount(),
            ],
        )
        kubernetes.apps.v1.Deployment(
            f"{self.name}-deployment",
            metadata=self.metadata(),
            spec={
                "replicas": settings.replicas,
                "selector": {"matchLabels": self.selector},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "template": {
                    "metadata": self.pod_metadata(
                        **naming.scrape_annotations(METRICS_PORT)
                    ),
                    "spec": pod_defaults.pod(
                        [container],
                        service_account=self.name,
                        user=USER,
                        dnsPolicy="Default",
                        priorityClassName="system-cluster-critical",
                        topologySpreadConstraints=self.spread(),
                        volumes=[
                            {
                                "name": "config",
                                "configMap": {"name": config.metadata["name"]},
                            },
                            api_access.volume(),
                        ],
                    ),
                },
            },
            opts=self.options(),
        )
