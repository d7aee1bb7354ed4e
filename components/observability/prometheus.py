"""Prometheus with the reloader of its rules."""

from __future__ import annotations

import hashlib
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.observability import scrape
from components.observability.settings import PrometheusSettings
from components.observability.storage import data_volume
from components.security import api_access, network, pod_defaults
from components.workload import Workload, http_probe

PORT = 9090
USER = 65534
DATA = "/prometheus"
CONFIG = "/etc/prometheus/config"
CONFIG_FILE = "prometheus.yaml"
RELOADER = ["python3", "/app/rules_reloader.py"]


class Prometheus(Workload):
    """The scraper and evaluator of rules.

    Creates, in the monitoring namespace:

    - ServiceAccount; ClusterRole to find pods and nodes and to read metrics; Role to
      read the ConfigMaps with rules;
    - ConfigMap with its configuration;
    - Service, on every node too if a port is given;
    - StatefulSet of one pod: Prometheus, and the reloader that loads what ConfigMaps
      with the label `slipway.dev/prometheus-rules: "true"` hold;
    - NetworkPolicy.
    """

    def __init__(
        self,
        name: str,
        settings: PrometheusSettings,
        *,
        alertmanager: str | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`alertmanager`: host:port that alerts go to."""
        super().__init__(
            "slipway:observability:Prometheus",
            name,
            namespace=naming.MONITORING_NAMESPACE,
            component="monitoring",
            opts=opts,
            former_type="slipway:monitoring:Prometheus",
        )
        self.settings = settings
        self._add_rights()
        configuration = scrape.configuration(settings, alertmanager)
        config = self.add_config({CONFIG_FILE: configuration})
        self.add_network_policy(
            ingress=[self._callers()], egress=self._targets(alertmanager)
        )
        self.add_service(PORT, node_port=settings.node_port)
        self._add_stateful_set(
            config, hashlib.sha256(configuration.encode()).hexdigest()[:16]
        )
        self.register_outputs({})

    def _callers(self) -> network.Rule:
        if self.settings.node_port:  # callers have a node's address, or any
            return network.allow_from(to=(PORT,))
        keda = network.in_namespace(naming.KEDA_NAMESPACE)
        rollouts = {
            **network.in_namespaces_labelled(naming.ROUTES_LABEL),
            **network.pods_of(naming.ROLLOUT_CONTROLLER),
        }
        return network.allow_from(network.SAME_NAMESPACE, keda, rollouts, to=(PORT,))

    def _targets(self, alertmanager: str | None) -> list[network.Rule]:
        """What it scrapes and sends alerts to: pods on any port, nodes on these.

        Pods choose by annotations whether they are scraped, and on which port.
        """
        on_nodes = {naming.POLICY_AGENT_PORT, *self.settings.host_ports}
        on_nodes |= {network.KUBELET_PORT, *network.API_SERVER_PORTS}
        host, _, port = (alertmanager or "").rpartition(":")
        # A Service is name.namespace.svc; others are outside the cluster, or on nodes.
        if host and "svc" not in host.split(".")[2:]:
            on_nodes.add(int(port))
        return [
            network.allow_dns(),
            network.allow_to(network.EVERY_POD),
            network.allow_to(on=tuple(sorted(on_nodes))),
        ]

    def _add_rights(self) -> None:
        self.add_account()
        self.add_cluster_role(
            "slipway:prometheus",
            [
                {
                    "apiGroups": [""],
                    "resources": ["pods", "nodes"],
                    "verbs": ["get", "list", "watch"],
                },
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
            ],
        )
        self.add_role(
            [
                {
                    "apiGroups": [""],
                    "resources": ["configmaps"],
                    "verbs": ["list", "watch"],
                }
            ]
        )

    def _add_stateful_set(
        self, config: kubernetes.core.v1.ConfigMap, digest: str
    ) -> None:
        volumes, claims = data_volume(self.settings.storage, self.labels)
        volumes += [
            {"name": "config", "configMap": {"name": config.metadata["name"]}},
            {"name": "rules", "emptyDir": {"sizeLimit": "32Mi"}},
            api_access.volume(),
        ]
        template = {
            "metadata": self.pod_metadata(**{"slipway.dev/config": digest}),
            "spec": pod_defaults.pod(
                [self._prometheus(), self._reloader()],
                service_account=self.name,
                user=USER,
                # It writes out what it holds in memory.
                terminationGracePeriodSeconds=60,
                volumes=volumes,
            ),
        }
        self.add_stateful_set(template, claims)

    def _retention_size(self) -> list[str]:
        """Without a volume, old samples go before the pod's disk limit is reached."""
        if self.settings.storage:
            return []
        return [f"--storage.tsdb.retention.size={pod_defaults.UNSIZED_MIB * 3 // 4}MB"]

    def _prometheus(self) -> Any:
        return pod_defaults.container(
            "prometheus",
            self.settings.image_reference,
            user=USER,
            args=[
                f"--config.file={CONFIG}/{CONFIG_FILE}",
                f"--storage.tsdb.path={DATA}",
                f"--storage.tsdb.retention.time={self.settings.retention_hours}h",
                *self._retention_size(),
                f"--web.listen-address=:{PORT}",
                # The reloader needs it; who reaches the port can also stop it.
                "--web.enable-lifecycle",
            ],
            ports=[{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            resources=pod_defaults.resources(
                cpu_request_millicores=100,
                cpu_limit_millicores=1000,
                memory_request_mib=192,
                memory_limit_mib=1024,
            ),
            # Reading a long write-ahead log takes minutes.
            startupProbe=http_probe("/-/ready", "http", seconds=1, failures=300),
            readinessProbe=http_probe("/-/ready", "http", seconds=5),
            livenessProbe=http_probe("/-/healthy", "http", seconds=10, failures=6),
            volumeMounts=[
                {"name": "config", "mountPath": CONFIG, "readOnly": True},
                {"name": "rules", "mountPath": scrape.RULES_FOLDER, "readOnly": True},
                {"name": "data", "mountPath": DATA},
                api_access.mount(),
            ],
        )

    def _reloader(self) -> Any:
        probe = {
            "exec": {"command": [*RELOADER, "--healthy"]},
            # Each starts a program: more often than this costs more than the loop.
            "periodSeconds": 60,
            "timeoutSeconds": 10,
            "failureThreshold": 3,
        }
        return pod_defaults.container(
            "rules-reloader",
            self.settings.image_reference,
            user=USER,
            command=RELOADER,
            env=[
                {"name": "NAMESPACE", "value": self.namespace},
                {"name": "SELECTOR", "value": f"{naming.RULES_LABEL}=true"},
                {"name": "RULES_DIR", "value": scrape.RULES_FOLDER},
                {"name": "RELOAD_URL", "value": f"http://127.0.0.1:{PORT}/-/reload"},
            ],
            resources=pod_defaults.resources(
                cpu_request_millicores=10,
                cpu_limit_millicores=500,
                memory_request_mib=32,
                memory_limit_mib=192,
            ),
            startupProbe={**probe, "periodSeconds": 2, "failureThreshold": 60},
            readinessProbe=probe,
            livenessProbe=probe,
            volumeMounts=[
                {"name": "rules", "mountPath": scrape.RULES_FOLDER},
                api_access.mount(),
            ],
        )
