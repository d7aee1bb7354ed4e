"""The model console of a models stack."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import images, naming
from components.contracts import PORTS
from components.monitoring.settings import ConsoleSettings
from components.observability import alertmanager
from components.security import network, pod_defaults
from components.workload import Workload, http_probe

PORT = naming.MODEL_CONSOLE_PORT
METRICS_PORT = PORTS["model_console"]["metrics"]
"""Probes and metrics: readers who hold the pages' connections do not hold these."""


class ModelConsole(Workload):
    """Web pages of what model monitor, Alertmanager and rollout controller know.

    Creates, in the models' namespace:

    - ServiceAccount without rights, Service (on every node too if a port is given),
      Deployment of one pod;
    - NetworkPolicy: in from the namespaces that may open the pages (from anywhere if a
      port is given), to the metrics from Prometheus' namespace; out to the monitor,
      Alertmanager, the rollout controller if there is one, and DNS.
    """

    def __init__(
        self,
        name: str,
        settings: ConsoleSettings,
        *,
        namespace: str,
        monitoring_namespace: str,
        rollouts: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`rollouts`: whether the namespace has a rollout controller."""
        super().__init__(
            "slipway:monitoring:ModelConsole",
            name,
            namespace=namespace,
            component="monitoring",
            opts=opts,
        )
        self._settings, self._monitoring_namespace = settings, monitoring_namespace
        self._rollouts = rollouts
        self.add_account()
        self._network()
        self.add_service(PORT, node_port=settings.node_port)
        self._deployment()
        self.register_outputs({})

    def _ingress(self) -> list[network.Rule]:
        prometheus = network.in_namespace(self._monitoring_namespace)
        rules = [network.allow_from(prometheus, to=(METRICS_PORT,))]
        if self._settings.node_port:
            return [network.allow_from(to=(PORT,)), *rules]
        names = dict.fromkeys(self._settings.callers)
        if peers := [network.in_namespace(name) for name in names]:
            # Without peers a rule would let everybody in.
            rules.insert(0, network.allow_from(*peers, to=(PORT,)))
        return rules

    def _network(self) -> None:
        monitor = network.pods_of(naming.MODEL_MONITOR)
        egress = [
            network.allow_dns(),
            network.allow_to(monitor, on=(naming.MODEL_MONITOR_PORT,)),
        ]
        if self._settings.alerts:
            router = network.in_namespace(
                self._monitoring_namespace, naming.selector(naming.ALERTMANAGER)
            )
            egress.append(network.allow_to(router, on=(alertmanager.PORT,)))
        if self._rollouts:
            controller = network.pods_of(naming.ROLLOUT_CONTROLLER)
            port = naming.ROLLOUT_CONTROLLER_PORT
            egress.append(network.allow_to(controller, on=(port,)))
        self.add_network_policy(ingress=self._ingress(), egress=egress)

    def _environment(self) -> list[dict[str, str]]:
        monitor = f"http://{naming.MODEL_MONITOR}:{naming.MODEL_MONITOR_PORT}"
        found = [{"name": "MODEL_CONSOLE_MONITOR_URL", "value": monitor}]
        if self._settings.alerts:
            host = f"{naming.ALERTMANAGER}.{self._monitoring_namespace}.svc"
            url = f"http://{host}:{alertmanager.PORT}"
            found.append({"name": "MODEL_CONSOLE_ALERTMANAGER_URL", "value": url})
        if self._rollouts:
            address = f"{naming.ROLLOUT_CONTROLLER}:{naming.ROLLOUT_CONTROLLER_PORT}"
            url = f"http://{address}"
            found.append({"name": "MODEL_CONSOLE_ROLLOUTS_URL", "value": url})
        if self._settings.hosts:
            names = ",".join(self._settings.hosts)
            found.append({"name": "MODEL_CONSOLE_NAMES", "value": names})
        return found

    def _container(self) -> Any:
        return pod_defaults.container(
            "console",
            images.resolve(self._settings.image),
            env=self._environment(),
            ports=[
                {"name": name, "containerPort": port, "protocol": "TCP"}
                for name, port in (("http", PORT), ("metrics", METRICS_PORT))
            ],
            resources=pod_defaults.resources(
                cpu_request_millicores=10,
                cpu_limit_millicores=500,
                memory_request_mib=64,
                memory_limit_mib=256,
            ),
            readinessProbe=http_probe("/readyz", "metrics", seconds=2),
            livenessProbe=http_probe("/healthz", "metrics", seconds=10, failures=6),
            terminationMessagePolicy="FallbackToLogsOnError",
        )

    def _deployment(self) -> None:
        kubernetes.apps.v1.Deployment(
            f"{self.name}-deployment",
            metadata=self.metadata(),
            spec={
                "replicas": 1,
                "selector": {"matchLabels": self.selector},
                "template": {
                    "metadata": self.pod_metadata(
                        **naming.scrape_annotations(METRICS_PORT)
                    ),
                    "spec": pod_defaults.pod(
                        [self._container()], service_account=self.name
                    ),
                },
            },
            opts=self.options(),
        )
