"""The job that calculates what predictions depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import images, naming
from components.monitoring import monitor_file
from components.monitoring.attribution_settings import AttributionJob
from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings
from components.observability.storage import Volumes
from components.part_settings import image_problems
from components.security import network, pod_defaults
from components.settings import Problem
from components.workload import Workload

CONFIG = "/etc/model-attributions"
FILE = "config.json"
TOKEN = "/etc/model-attributions-token/token"  # noqa: S105, where it lies
LONGEST_SECONDS = 6 * 3600
"""Time limit of one run; remaining days wait for the next."""
RETRIES = 2


def attributed(watched: Sequence[Watched]) -> list[Watched]:
    """The models with attributions, by name."""
    wanted = [one for one in watched if one.settings.attributions]
    return sorted(wanted, key=lambda one: one.model)


def problems(
    settings: MonitorSettings, watched: Sequence[Watched]
) -> Iterator[Problem]:
    """Models without the job, and a job without models or without its image."""
    wanted = attributed(watched)
    job = settings.attributions
    if wanted and job is None:
        yield Problem(
            "monitor.attributions",
            None,
            "no job computes the attributions of "
            + ", ".join(one.model for one in wanted),
            "set monitor.attributions.token_secret, or remove monitor.attributions of "
            "the models",
        )
    if job and not wanted:
        yield Problem(
            "monitor.attributions",
            job.image,
            "no model has monitor.attributions, so there is nothing to do",
            "set it for a model (`attributions: {}`), or remove it here",
        )
    if job and wanted:
        yield from image_problems("monitor.attributions.image", job.image)


def text(job: AttributionJob, watched: Sequence[Watched]) -> str:
    """The job's configuration file (images/model_attributions)."""
    content = {
        "monitor": f"http://{naming.MODEL_MONITOR}:{naming.MODEL_MONITOR_PORT}",
        "token": TOKEN,
        "repetitions": job.repetitions,
        "rows_per_second": job.rows_per_second,
        "seconds": job.day_seconds,
        "models": [
            {"name": one.model, "folder": monitor_file.folder(one.model)}
            for one in attributed(watched)
        ],
    }
    return json.dumps(content, indent=1, sort_keys=True)


class ModelAttributions(Workload):
    """A daily run of the models on permuted samples of the day before.

    Creates, in the models' namespace:

    - ServiceAccount without rights, ConfigMap with what is to be done, named by its
      content, CronJob with the models' folders as image volumes: one run at a time,
      each of bounded length;
    - NetworkPolicy: nobody calls it, and it calls the monitor and DNS alone. No request
      reaches a model server.
    """

    def __init__(
        self,
        name: str,
        job: AttributionJob,
        watched: Sequence[Watched],
        *,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:monitoring:ModelAttributions",
            name,
            namespace=namespace,
            component="monitoring",
            opts=opts,
        )
        self._job, self._watched = job, attributed(watched)
        self.add_account()
        monitor = network.pods_of(naming.MODEL_MONITOR)
        self.add_network_policy(
            ingress=[],
            egress=[
                network.allow_dns(),
                network.allow_to(monitor, on=(naming.MODEL_MONITOR_PORT,)),
            ],
        )
        content = text(job, self._watched)
        config = f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
        kubernetes.core.v1.ConfigMap(
            f"{name}-config",
            metadata=self.metadata(config),
            data={FILE: content},
            immutable=True,
            opts=self.options(),
        )
        self._cron_job(config)
        self.register_outputs({})

    def _cron_job(self, config: str) -> None:
        volumes, mounts = self._volumes(config)
        pod = pod_defaults.pod(
            [self._container(mounts)],
            service_account=self.name,
            restartPolicy="Never",
            volumes=volumes,
        )
        template = {"metadata": self.pod_metadata(), "spec": pod}
        kubernetes.batch.v1.CronJob(
            f"{self.name}-job",
            metadata=self.metadata(),
            spec={
                "schedule": f"17 {self._job.starts_after_hours} * * *",
                "timeZone": "Etc/UTC",
                "concurrencyPolicy": "Forbid",
                # A cluster that was down at the hour makes up for it.
                "startingDeadlineSeconds": 12 * 3600,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 1,
                "jobTemplate": {
                    "metadata": {"labels": self.labels},
                    "spec": {
                        "backoffLimit": RETRIES,
                        "activeDeadlineSeconds": LONGEST_SECONDS,
                        "template": template,
                    },
                },
            },
            opts=self.options(),
        )

    def _volumes(self, config: str) -> tuple[Volumes, Volumes]:
        """Volumes of the pod and where they are mounted."""
        # Optional: without the Secret the job says so and ends.
        token = {
            "secretName": self._job.token_secret,
            "optional": True,
            "defaultMode": 0o440,
        }
        volumes: Volumes = [
            {"name": "config", "configMap": {"name": config}},
            {"name": "token", "secret": token},
        ]
        mounts: Volumes = [
            {"name": "config", "mountPath": CONFIG, "readOnly": True},
            {
                "name": "token",
                "mountPath": TOKEN.rpartition("/")[0],
                "readOnly": True,
            },
        ]
        for number, one in enumerate(self._watched):
            image = {"reference": one.image, "pullPolicy": "IfNotPresent"}
            volumes.append({"name": f"model-{number}", "image": image})
            folder = monitor_file.folder(one.model)
            mounts.append(
                {"name": f"model-{number}", "mountPath": folder, "readOnly": True}
            )
        return volumes, mounts

    def _container(self, mounts: Volumes) -> Any:
        job = self._job
        return pod_defaults.container(
            "attributions",
            images.resolve(job.image),
            env=[{"name": "MODEL_ATTRIBUTIONS_CONFIG", "value": f"{CONFIG}/{FILE}"}],
            resources=pod_defaults.resources(
                cpu_request_millicores=10,
                cpu_limit_millicores=job.cpu_limit_millicores,
                memory_request_mib=128,
                memory_limit_mib=job.memory_limit_mib,
            ),
            volumeMounts=mounts,
            terminationMessagePolicy="FallbackToLogsOnError",
        )
