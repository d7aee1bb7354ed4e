"""The model monitor of a models stack."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import images, naming
from components.monitoring import alerts, monitor_file, retraining
from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings
from components.observability.storage import Volumes, data_volume
from components.security import network, pod_defaults
from components.workload import Workload, http_probe

PORT = naming.MODEL_MONITOR_PORT
LABELS_PORT = naming.MODEL_MONITOR_LABELS_PORT
LABELS = "labels"
"""Name of that port, and the end of its Service's name."""
STORE = monitor_file.STORE
CONFIG = "/etc/model-monitor"
FILE = "config.json"
LABELS_TOKEN = monitor_file.LABELS_TOKEN


class ModelMonitor(Workload):
    """The monitor reads prediction logs and labels, and measures the models' quality.

    Creates:

    - in the models' namespace: ServiceAccount, Service, ConfigMap with what is watched,
      named by its content so that a change starts a new pod, StatefulSet of one pod
      with the models' folders as image volumes, NetworkPolicy: in from model servers,
      Prometheus, the console, the job of attributions and the rollout controller, out
      to DNS, to the webhook for retraining, if there is one, to S3 if a model's log is
      sent there, and to the rollout controller if a model has an experiment
    - Service `model-monitor-labels` on every node, if a port is given: a port of the
      pod that takes labels alone, open to anybody
    - ConfigMap `rules-<namespace>-model-monitor` in the monitoring namespace: alerts

    `watched`: the models, each once.
    """

    def __init__(
        self,
        name: str,
        settings: MonitorSettings,
        watched: Sequence[Watched],
        *,
        namespace: str,
        monitoring_namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:monitoring:ModelMonitor",
            name,
            namespace=namespace,
            component="monitoring",
            opts=opts,
        )
        self._settings = settings
        self._watched = tuple(watched)
        self.add_account()
        prometheus = network.in_namespace(monitoring_namespace)
        servers = network.pods_of(naming.MODEL_SERVER)
        callers = [prometheus, servers]
        if settings.console:
            callers.append(network.pods_of(naming.MODEL_CONSOLE))
        if settings.attributions:
            callers.append(network.pods_of(naming.MODEL_ATTRIBUTIONS))
        if any(one.intervals for one in self._watched):
            callers.append(network.pods_of(naming.ROLLOUT_CONTROLLER))
        ingress = [network.allow_from(*callers, to=(PORT,))]
        if settings.node_port:
            ingress.append(network.allow_from(to=(LABELS_PORT,)))
        egress = [network.allow_dns(), *retraining.egress(settings.retraining)]
        if monitor_file.buckets(self._watched):
            egress += network.allow_object_stores()
        if monitor_file.experiments(self._watched):
            controller = network.pods_of(naming.ROLLOUT_CONTROLLER)
            port = naming.ROLLOUT_CONTROLLER_PORT
            egress.append(network.allow_to(controller, on=(port,)))
        self.add_network_policy(ingress=ingress, egress=egress)
        self.add_service(PORT)
        if settings.node_port:
            self._labels_service(settings.node_port)
        text = monitor_file.text(settings, self._watched)
        config = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        kubernetes.core.v1.ConfigMap(
            f"{name}-config",
            metadata=self.metadata(config),
            data={FILE: text},
            immutable=True,
            opts=self.options(),
        )
        ready = self._stateful_set(config)
        self._rules(monitoring_namespace, ready)
        self.register_outputs({})

    def _labels_service(self, node_port: int) -> None:
        entry = {
            "name": LABELS,
            "port": LABELS_PORT,
            "protocol": "TCP",
            "targetPort": LABELS,
            "nodePort": node_port,
        }
        kubernetes.core.v1.Service(
            f"{self.name}-labels-service",
            metadata=self.metadata(
                f"{self.name}-{LABELS}", annotations=naming.SERVICE_WAIT
            ),
            spec={"type": "NodePort", "selector": self.selector, "ports": [entry]},
            opts=self.options(),
        )

    def _volumes(self, config: str) -> tuple[Volumes, Volumes]:
        """Volumes of the pod and where they are mounted, but for the store."""
        volumes: Volumes = [
            {"name": "config", "configMap": {"name": config}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        ]
        mounts: Volumes = [
            {"name": "config", "mountPath": CONFIG, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108, its own emptyDir
        ]
        for number, one in enumerate(self._watched):
            image = {"reference": one.image, "pullPolicy": "IfNotPresent"}
            volumes.append({"name": f"model-{number}", "image": image})
            mounts.append(
                {
                    "name": f"model-{number}",
                    "mountPath": monitor_file.folder(one.model),
                    "readOnly": True,
                }
            )
        settings = self._settings
        for name, secret, path in (
            ("labels-token", settings.labels_secret, LABELS_TOKEN),
            ("retraining-token", settings.retraining.token_secret, retraining.TOKEN),
            (
                "attributions-token",
                settings.attributions and settings.attributions.token_secret,
                monitor_file.ATTRIBUTIONS_TOKEN,
            ),
        ):
            if secret:
                # Optional: the pod starts, and does without, until the Secret is there.
                source = {"secretName": secret, "optional": True, "defaultMode": 0o440}
                volumes.append({"name": name, "secret": source})
                folder = path.rpartition("/")[0]
                mounts.append({"name": name, "mountPath": folder, "readOnly": True})
        return volumes, mounts

    def _container(self, mounts: Volumes) -> Any:
        settings = self._settings
        return pod_defaults.container(
            "monitor",
            images.resolve(settings.image),
            args=["serve"],
            env=[{"name": "MODEL_MONITOR_CONFIG", "value": f"{CONFIG}/{FILE}"}],
            ports=[
                {"name": "http", "containerPort": PORT, "protocol": "TCP"},
                {"name": LABELS, "containerPort": LABELS_PORT, "protocol": "TCP"},
            ],
            resources=pod_defaults.resources(
                cpu_request_millicores=50,
                cpu_limit_millicores=1000,
                memory_request_mib=192,
                memory_limit_mib=settings.memory_limit_mib,
            ),
            # Reading a long store anew takes minutes.
            startupProbe=http_probe("/healthz", "http", seconds=1, failures=120),
            readinessProbe=http_probe("/readyz", "http", seconds=5),
            livenessProbe=http_probe("/healthz", "http", seconds=10, failures=6),
            volumeMounts=[{"name": "data", "mountPath": STORE}, *mounts],
            terminationMessagePolicy="FallbackToLogsOnError",
        )

    def _stateful_set(self, config: str) -> pulumi.Resource:
        claimed, claims = data_volume(self._settings.storage, self.labels)
        volumes, mounts = self._volumes(config)
        template = {
            "metadata": self.pod_metadata(**naming.scrape_annotations(PORT)),
            "spec": pod_defaults.pod(
                [self._container(mounts)],
                service_account=self.name,
                terminationGracePeriodSeconds=60,
                volumes=[*claimed, *volumes],
            ),
        }
        # With the default, a pod that never gets ready is not replaced by a corrected
        # one until somebody deletes it.
        made: pulumi.Resource = self.add_stateful_set(
            template, claims, podManagementPolicy="Parallel"
        )
        return made

    def _rules(self, monitoring_namespace: str, ready: pulumi.Resource) -> None:
        name = f"rules-{self.namespace}-{self.name}"
        text = alerts.rule_file(self.namespace, self._settings, self._watched)
        kubernetes.core.v1.ConfigMap(
            f"{self.name}-rules",
            metadata={
                "name": name,
                "namespace": monitoring_namespace,
                "labels": {**self.labels, naming.RULES_LABEL: "true"},
            },
            data={f"{self.namespace}.{self.name}.yaml": text},
            # After the pod: else its first start would be reported as an outage.
            opts=self.options(depends_on=[ready]),
        )
