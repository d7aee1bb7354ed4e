"""The rollout controller, in the namespace of a stack's models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import images, naming
from components.delivery import alerts, rollout_file
from components.delivery.pool_job import PoolJob
from components.delivery.settings import DeliverySettings, RolloutSettings
from components.security import api_access, network, pod_defaults
from components.workload import Workload, http_probe

PORT = naming.ROLLOUT_CONTROLLER_PORT
"""Port of the probes, the metrics and the state of each rollout."""
_MONITOR = f"http://{naming.MODEL_MONITOR}:{naming.MODEL_MONITOR_PORT}"


@dataclass(frozen=True)
class Rollout:
    """The rollout of one server."""

    settings: RolloutSettings
    places: Mapping[str, str]
    """Names of the Service and of the Deployment, by revision."""
    rules: Sequence[Mapping[str, Any]]
    """Rules of the weighted route, with any weights."""
    model: str = ""
    """The model's name in model.yaml, if it differs from the server's."""
    experiment: Mapping[str, Any] | None = None
    """Plan of the experiment that this rollout carries out; readers get it."""
    evictable: Sequence[PoolJob] = ()
    """Training jobs that its new revision's pods may evict."""


class RolloutController(Workload):
    """The program that changes the weights of routes (images/rollout).

    Creates, in the models' namespace:

    - ServiceAccount with permissions there, by name: read a rollout's configuration,
      write its status and its weighted route, read the revisions' Deployments. It may
      create ConfigMaps, to add to the ledger; it can read or change no others.
    - two ConfigMaps for each rollout: its configuration, and its status, whose data the
      controller owns
    - Deployment of one pod, NetworkPolicy: ingress from Prometheus; egress to it, to
      DNS, to the API server and, for gates of predictions, to the model monitor
    - for readers (model console, model monitor): a Service, and ingress from them
    - ConfigMap `rules-<namespace>-<name>` in the monitoring namespace: alerts

    The model server's component creates the HTTPRoute `<server>-traffic`.
    """

    def __init__(
        self,
        name: str,
        settings: DeliverySettings,
        rollouts: Mapping[str, Rollout],
        *,
        namespace: str,
        monitoring_namespace: str = naming.MONITORING_NAMESPACE,
        readers: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create the controller of `rollouts`, keyed by the model server's name.

        `monitoring_namespace`: of the Prometheus that scrapes the controller.
        `readers`: programs beside it that query the state of the rollouts.
        """
        super().__init__(
            "slipway:delivery:RolloutController",
            name,
            namespace=namespace,
            component="delivery",
            opts=opts,
        )
        self._settings, self._rollouts = settings, dict(sorted(rollouts.items()))
        self.add_account()
        self.add_role(list(_rights(self._rollouts)))
        asked, port = settings.prometheus
        callers = [network.in_namespace(monitoring_namespace)]
        if readers:
            callers += [network.pods_of(program) for program in readers]
            self.add_service(PORT)
        self.add_network_policy(
            ingress=[network.allow_from(*callers, to=(PORT,))],
            egress=[
                network.allow_dns(),
                network.allow_api_server(),
                network.allow_to(network.in_namespace(asked), on=(port,)),
                *self._to_monitor(),
            ],
        )
        for server, rollout in self._rollouts.items():
            self._config_maps(server, rollout)
        ready = self._deployment()
        self._rules(monitoring_namespace, ready)
        self.register_outputs({})

    @property
    def _reads_monitor(self) -> bool:
        return any(it.settings.gates.cohorts for it in self._rollouts.values())

    def _models(self) -> list[dict[str, str]]:
        """Return the models' names, where any differs from its server's."""
        found = [it.model or name for name, it in self._rollouts.items()]
        if found == [*self._rollouts]:
            return []
        return [{"name": "ROLLOUT_MODELS", "value": ",".join(found)}]

    def _to_monitor(self) -> list[network.Rule]:
        if not self._reads_monitor:
            return []
        pods = network.pods_of(naming.MODEL_MONITOR)
        return [network.allow_to(pods, on=(naming.MODEL_MONITOR_PORT,))]

    def _config_maps(self, server: str, rollout: Rollout) -> None:
        files = rollout_file.files(
            server,
            self.namespace,
            rollout.settings,
            rollout.places,
            rollout.rules,
            model=rollout.model,
        )
        kubernetes.core.v1.ConfigMap(
            f"{self.name}-{server}-settings",
            metadata=self.metadata(
                f"rollout-{server}", **self._evictable(server, rollout)
            ),
            data=files | rollout_file.plan(rollout.experiment),
            opts=self.options(),
        )
        kubernetes.core.v1.ConfigMap(
            f"{self.name}-{server}-status",
            metadata=self.metadata(f"rollout-{server}-status"),
            # The controller owns the progress; another apply does not reset it.
            opts=self.options(ignore_changes=["data"]),
        )

    def _evictable(self, server: str, rollout: Rollout) -> dict[str, Any]:
        """Metadata that says which jobs may be evicted; a warning for each of them."""
        for job in rollout.evictable:
            pulumi.log.warn(
                f"{server}: {rollout.settings.to} may evict the job {job.full_name} "
                f"({job.gpus} GPUs): {job.checkpoint_seconds} s of its work may be "
                "lost, and it waits until there is room again",
                self,
            )
        if not rollout.evictable:
            return {}
        jobs = [job.plain() for job in rollout.evictable]
        text = json.dumps(jobs, sort_keys=True)
        return {"annotations": {naming.EVICTABLE_ANNOTATION: text}}

    def _rules(self, monitoring_namespace: str, ready: pulumi.Resource) -> None:
        text = alerts.rule_file(self.namespace, self._settings)
        kubernetes.core.v1.ConfigMap(
            f"{self.name}-rules",
            metadata={
                "name": f"rules-{self.namespace}-{self.name}",
                "namespace": monitoring_namespace,
                "labels": {**self.labels, naming.RULES_LABEL: "true"},
            },
            data={f"{self.namespace}.{self.name}.yaml": text},
            # After the pod: otherwise its first start would be reported as an outage.
            opts=self.options(depends_on=[ready]),
        )

    def _deployment(self) -> pulumi.Resource:
        made: pulumi.Resource = kubernetes.apps.v1.Deployment(
            f"{self.name}-deployment",
            metadata=self.metadata(),
            spec={
                "replicas": 1,
                "selector": {"matchLabels": self.selector},
                # Two at once do no harm and only repeat the same work.
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "template": {
                    "metadata": self.pod_metadata(**naming.scrape_annotations(PORT)),
                    "spec": pod_defaults.pod(
                        [self._container()],
                        service_account=self.name,
                        volumes=[api_access.volume()],
                    ),
                },
            },
            opts=self.options(),
        )
        return made

    def _container(self) -> Any:
        return pod_defaults.container(
            self.name,
            images.resolve(self._settings.image),
            env=[
                {"name": "ROLLOUT_NAMESPACE", "value": self.namespace},
                {"name": "ROLLOUT_SERVERS", "value": ",".join(self._rollouts)},
                *self._models(),
                {"name": "ROLLOUT_PROMETHEUS", "value": self._settings.prometheus_url},
                {
                    "name": "ROLLOUT_TICK_SECONDS",
                    "value": str(self._settings.tick_seconds),
                },
                *(
                    [{"name": "ROLLOUT_MONITOR", "value": _MONITOR}]
                    if self._reads_monitor
                    else []
                ),
            ],
            ports=[{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            resources=pod_defaults.resources(
                cpu_request_millicores=20,
                cpu_limit_millicores=1000,
                memory_request_mib=48,
                memory_limit_mib=192,
            ),
            readinessProbe=http_probe("/readyz", "http", seconds=5),
            livenessProbe=http_probe("/livez", "http", seconds=30, failures=6),
            volumeMounts=[api_access.mount()],
        )


def _rights(rollouts: Mapping[str, Rollout]) -> Iterator[dict[str, Any]]:
    """Permissions name their objects, except for the permission to create."""
    status = [f"rollout-{server}-status" for server in rollouts]
    deployments = {
        rollout.places[revision]
        for rollout in rollouts.values()
        for revision in (rollout.settings.from_, rollout.settings.to)
    }
    routes = [rollout_file.traffic_route(server) for server in rollouts]
    yield _right("", "configmaps", ["get"], [f"rollout-{it}" for it in rollouts])
    yield _right("", "configmaps", ["get", "update"], status)
    yield _right("", "configmaps", ["create"])
    group = "gateway.networking.k8s.io"
    yield _right(group, "httproutes", ["get", "update"], routes)
    yield _right("apps", "deployments", ["get"], sorted(deployments))


def _right(
    group: str, resource: str, verbs: list[str], names: list[str] | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiGroups": [group],
        "resources": [resource],
        "verbs": verbs,
    }
    return {**found, "resourceNames": names} if names else found
