"""The waker of a models stack: holds requests of idle models and scales them up."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import images, naming
from components.contracts import PORTS
from components.security import api_access, network, pod_defaults
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import PROGRAM
from components.serving.pods import workload
from components.serving.settings.idle_settings import WakerSettings
from components.serving.settings.serving_platform import ServingPlatform
from components.workload import Workload, http_probe

PORT = PORTS["waker"]["http"]
"""Port of probes and metrics."""
FIRST_MODEL_PORT = 20000
"""Each model has a port of the waker, because a request no longer identifies its model
once the gateway has changed its path."""
SETTLE_SECONDS = 10
"""Time for which the waker still responds after it has left the endpoints."""
OWN_MIB = 128
"""Memory of the program itself, and of connections without a request."""
REQUEST_KIB = 16
"""Memory of a held request beside its head and body: 14 KiB, measured with 1,000
(2026-11-30)."""
CONFIG = "/etc/waker"
FILE = "models.json"


def sleepers(models: Mapping[str, ModelServerArgs]) -> dict[str, ModelServerArgs]:
    """Return the models that may scale to zero."""
    return {name: args for name, args in models.items() if args.scaling.idle}


class Waker(Workload):
    """The program beside the models.

    Creates, in the models' namespace:

    - ServiceAccount and its rights there: see Deployments and EndpointSlices, set the
      replicas of the models' Deployments, add and remove EndpointSlices
    - ConfigMap: the models, named by its content so that a change starts new pods
    - Deployment, PodDisruptionBudget, NetworkPolicy: in from the gateway and
      Prometheus, out to the API server and to the models
    """

    def __init__(
        self,
        name: str,
        settings: WakerSettings,
        models: Mapping[str, ModelServerArgs],
        platform: ServingPlatform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        deployments: Sequence[str],
    ) -> None:
        """Create the waker; `models`: those that may scale to zero.

        `deployments`: of all models of the stack, because a model at zero that may no
        longer scale to zero has to be scaled up.
        """
        super().__init__(
            "slipway:serving:Waker",
            name,
            namespace=platform.namespace,
            component=naming.WAKER,
            opts=opts,
        )
        self._models = dict(sorted(models.items()))
        self._numbers = {
            name: FIRST_MODEL_PORT + number for number, name in enumerate(self._models)
        }
        self.add_account()
        self.add_role(_rights(deployments))
        self._network_policy(platform)
        text = self._file()
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        config = f"{self.name}-{digest}"
        kubernetes.core.v1.ConfigMap(
            f"{self.name}-config",
            metadata=self.metadata(config),
            data={FILE: text},
            immutable=True,
            opts=self.options(),
        )
        self.add_disruption_budget(settings.replicas)
        self._deployment(settings, config)
        self.register_outputs({})

    def _file(self) -> str:
        """The program's configuration (images/waker/waker/settings.py)."""
        found = []
        for name, args in self._models.items():
            idle, facts = args.scaling.idle, args.runtime.FACTS
            assert idle
            found.append(
                {
                    "name": name,
                    "port": self._numbers[name],
                    "port_name": workload.PORT_NAME,
                    "pod_port": facts.http,
                    "metrics_port": facts.metrics_port,
                    "metrics_path": facts.metrics_path,
                    "replicas": args.scaling.min_replicas,
                    "after_seconds": idle.after_seconds,
                    "wake_seconds": idle.wake_seconds,
                    "buffer_requests": idle.buffer_requests,
                    "buffer_bytes": idle.buffer_mib << 20,
                }
            )
        return json.dumps({"models": found}, indent=1, sort_keys=True)

    def _network_policy(self, platform: ServingPlatform) -> None:
        runtimes = [args.runtime for args in self._models.values()]
        pods = {port for one in runtimes for port in workload.ports(one).values()}
        self.add_network_policy(
            ingress=[
                network.allow_from(
                    network.in_namespace(platform.gateway_namespace),
                    to=tuple(self._numbers.values()),
                ),
                network.allow_from(
                    network.in_namespace(platform.monitoring_namespace), to=(PORT,)
                ),
            ],
            egress=[
                network.allow_api_server(),
                network.allow_to(
                    network.pods_of(PROGRAM),
                    on=tuple(sorted(pods)),
                ),
            ],
        )

    def _deployment(self, settings: WakerSettings, config: str) -> None:
        idles = [args.scaling.idle for args in self._models.values()]
        held = sum(
            2 * idle.buffer_mib + idle.buffer_requests * REQUEST_KIB / 1024
            for idle in idles
            if idle
        )
        longest = max(idle.wake_seconds for idle in idles if idle)
        kubernetes.apps.v1.Deployment(
            f"{self.name}-deployment",
            metadata=self.metadata(),
            spec={
                "replicas": settings.replicas,
                "selector": {"matchLabels": self.selector},
                # A new pod serves the idle models before an old one stops.
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "template": {
                    "metadata": self.pod_metadata(**naming.scrape_annotations(PORT)),
                    "spec": pod_defaults.pod(
                        [self._container(settings, OWN_MIB + math.ceil(held))],
                        service_account=self.name,
                        terminationGracePeriodSeconds=SETTLE_SECONDS + longest + 10,
                        topologySpreadConstraints=self.spread(),
                        volumes=[
                            api_access.volume(),
                            {"name": "models", "configMap": {"name": config}},
                        ],
                    ),
                },
            },
            opts=self.options(),
        )

    def _container(self, settings: WakerSettings, memory_mib: int) -> dict[str, Any]:
        return pod_defaults.container(
            self.name,
            images.resolve(settings.image),
            env=[
                *(
                    {"name": f"POD_{key}", "valueFrom": {"fieldRef": {"fieldPath": p}}}
                    for key, p in _POD.items()
                ),
                {"name": "WAKER_MODELS", "value": f"{CONFIG}/{FILE}"},
                {"name": "WAKER_OWNER", "value": self.name},
            ],
            ports=[{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            resources=pod_defaults.resources(
                cpu_request_millicores=20,
                cpu_limit_millicores=1000,
                memory_request_mib=64,
                # The same amount again for heads and bodies in transit.
                memory_limit_mib=memory_mib,
            ),
            readinessProbe=http_probe("/readyz", "http", seconds=2),
            livenessProbe=http_probe("/livez", "http", seconds=10, failures=6),
            volumeMounts=[
                api_access.mount(),
                {"name": "models", "mountPath": CONFIG, "readOnly": True},
            ],
        )


_POD = {
    "NAMESPACE": "metadata.namespace",
    "NAME": "metadata.name",
    "UID": "metadata.uid",
    "ADDRESS": "status.podIP",
    "NODE": "spec.nodeName",
}


def _rights(deployments: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
        {
            "apiGroups": ["apps"],
            "resources": ["deployments/scale"],
            "resourceNames": sorted(deployments),
            "verbs": ["patch"],
        },
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["create", "delete", "list", "patch"],
        },
    ]
