"""The pods of a training job: container, volumes and placement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components import naming
from components.security import pod_defaults
from components.serving.pods import pod_environment, workload
from components.serving.settings import secret_files
from components.training import frameworks, gang
from components.training.job_fields import HOME, WORKER, JobFields
from components.training.volume_settings import Claim

SCRATCH, SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108 the pod's own
DATA = "/data"
PLACES = {"checkpoint": "/checkpoint", "result": "/result"}
"""Mount paths of the claims."""
HOST = "kubernetes.io/hostname"
Pairs = list[tuple[dict[str, Any], dict[str, Any]]]


def of(name: str, job: JobFields, selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the pod of a job of this name; `selector`: labels of the gang's pods."""
    pairs = _volumes(job)
    secrets = secret_files.of(job.secrets, {one: one for one in job.secrets})
    mounts = [mount for _, mount in pairs] + [mount for _, mount in secrets]
    volumes = [volume for volume, _ in pairs] + [volume for volume, _ in secrets]
    more = _placement(job, selector)
    if job.preemptible:
        more["priorityClassName"] = naming.PREEMPTIBLE
    if job.nodes > 1:
        volumes.append(gang.volume(name))
        more["initContainers"] = gang.containers(job, name)
    return pod_defaults.pod(
        [_container(name, job, mounts)],
        service_account=name,
        subdomain=name,
        restartPolicy="Never",
        terminationGracePeriodSeconds=job.stop_seconds,
        volumes=volumes,
        **more,
    )


def _container(name: str, job: JobFields, mounts: list[Any]) -> dict[str, Any]:
    return pod_defaults.container(
        WORKER,
        job.image,
        command=frameworks.command(job.framework, job.command),
        env=variables(name, job),
        resources=_resources(job),
        volumeMounts=mounts,
        terminationMessagePolicy="FallbackToLogsOnError",
    )


def _resources(job: JobFields) -> dict[str, Any]:
    found = pod_defaults.resources(**job.resources.model_dump())
    # Requests and limits of resources that cannot be shared are equal.
    devices = job.accelerator.devices if job.accelerator else {}
    return {kind: {**amounts, **devices} for kind, amounts in found.items()}


def variables(name: str, job: JobFields) -> list[dict[str, Any]]:
    """Return all variables, each once; those that others refer to come first."""
    cores = job.resources.cpu_limit_millicores // 1000
    found = frameworks.variables(
        job.framework,
        name,
        nodes=job.nodes,
        processes=job.processes,
        restarts=job.restarts.worker_restarts,
        threads=max(1, cores // job.processes),
    )
    own = _places(name, job)
    own[HOME] = SCRATCH
    for key, value in sorted(job.environment.items()):
        own[key] = pod_environment.literal(value)
    found += [{"name": key, "value": value} for key, value in own.items()]
    for secret, use in sorted(job.secrets.items()):
        for key, entry in sorted(use.variables.items()):
            reference = {"secretKeyRef": {"name": secret, "key": entry}}
            found.append({"name": key, "valueFrom": reference})
    return found


def _places(name: str, job: JobFields) -> dict[str, str]:
    """Return the places of data, checkpoint and result as variables."""
    found: dict[str, str] = {}
    if job.data:
        found["SLIPWAY_DATA"] = job.data.bucket or DATA
    for setting, place in job.claims.items():
        folder = f"{PLACES[setting]}/{place.path or name}"
        found[f"SLIPWAY_{setting.upper()}"] = place.bucket or folder
    if job.checkpoint:
        seconds = str(job.checkpoint.every_seconds)
        found["SLIPWAY_CHECKPOINT_SECONDS"] = seconds
    return found


def _volumes(job: JobFields) -> Pairs:
    """Return the volumes of the pod and their mounts."""
    pairs = [
        _empty("tmp", SCRATCH, job.scratch_mib),
        _empty("shm", SHARED_MEMORY, job.shared_memory_mib, medium="Memory"),
    ]
    if job.data and job.data.image:
        image = {"reference": job.data.image, "pullPolicy": "IfNotPresent"}
        mount = {"name": "data", "mountPath": DATA, "readOnly": True}
        pairs.append(({"name": "data", "image": image}, mount))
    for setting, place in job.claims.items():
        if place.claim:
            pairs.append(_claimed(setting, place))
    return pairs


def _empty(name: str, path: str, mib: int, **more: str) -> Any:
    size = {"sizeLimit": pod_defaults.memory_quantity(mib), **more}
    return {"name": name, "emptyDir": size}, {"name": name, "mountPath": path}


def _claimed(setting: str, place: Claim) -> Any:
    volume = {"claimName": place.claim}
    mount = {"name": setting, "mountPath": PLACES[setting]}
    return {"name": setting, "persistentVolumeClaim": volume}, mount


def _placement(job: JobFields, selector: Mapping[str, str]) -> dict[str, Any]:
    """Select nodes of the pool, with one worker each for GPUs; otherwise spread."""
    gpus = job.accelerator
    own = [taint.toleration for taint in job.tolerations]
    chosen = {**job.node_selector, **(gpus.node_selector if gpus else {})}
    found: dict[str, Any] = {
        "nodeSelector": chosen or None,
        "tolerations": [*(gpus.tolerations if gpus else ()), *own] or None,
    }
    match = {"matchLabels": dict(selector)}
    if gpus:
        found["affinity"] = {
            **(
                {"nodeAffinity": workload.of_types(gpus.required_types)}
                if gpus.required_types
                else {}
            ),
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": HOST, "labelSelector": match}
                ]
            },
        }
    elif job.nodes > 1:
        found["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": HOST,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": match,
            }
        ]
    return found
