"""The pods of a Spark job: driver, template of executors, history server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.cluster.nodes.pool_nodes import POOL_LABEL
from components.security import api_access, pod_defaults
from components.serving.pods import pod_environment
from components.training import spark_properties
from components.training.spark_fields import (
    DATA,
    DRIVER,
    EVENT_LOG,
    EXECUTOR,
    STORAGE,
    SparkJobFields,
    SparkPod,
)
from components.workload import http_probe

ROLE = "spark-role"
"""Label by which Spark itself distinguishes driver and executors."""
HISTORY = "history"
SCRATCH_VOLUME = "spark-local-dir-1"
"""Spark uses volumes with this name prefix as its local folders. Without one, it adds
an emptyDir without a size at the same path as ours, which the API server rejects.
https://spark.apache.org/docs/latest/running-on-kubernetes.html#local-storage"""
MOUNTS = {"storage": STORAGE, "event_log": EVENT_LOG}
STOP_SECONDS = 30
"""Seconds for the driver to end its executors."""
HISTORY_MEMORY_MIB, HISTORY_HEAP_MIB = 896, 512
OWN_VARIABLES = frozenset(
    (
        *("HOME", "JAVA_HOME", "PYTHONPATH", "PYSPARK_PYTHON", "SPARK_HOME"),
        *(
            "SPARK_EVENT_LOG",
            "SPARK_MAIN_CLASS",
            "SPARK_POD_NAME",
            "SPARK_POD_IP",
            "SPARK_PROPERTIES",
        ),
        *("SPARK_DAEMON_MEMORY", "SLIPWAY_RUN", "SLIPWAY_STORAGE", "SLIPWAY_DATA"),
        "SLIPWAY_HDFS",
    )
)
Manifest = dict[str, Any]
Labels = Mapping[str, str]


def driver(name: str, job: SparkJobFields, hdfs: str = "") -> Manifest:
    """The pod of the Job: the only one with a token of the API server.

    `hdfs`: address of the file system that the program gets, or none.
    """
    volumes, mounts = _volumes(job, job.driver)
    volumes += [_config(name), api_access.volume()]
    mounts += [_config_mount(), api_access.mount()]
    container = pod_defaults.container(
        DRIVER,
        job.image,
        args=["driver", job.main, *map(pod_environment.literal, job.arguments)],
        env=[*_of_driver(name, job), *_variables(name, job, hdfs)],
        resources=_resources(job.driver),
        volumeMounts=mounts,
        terminationMessagePolicy="FallbackToLogsOnError",
    )
    return pod_defaults.pod(
        [container],
        service_account=name,
        restartPolicy="Never",
        terminationGracePeriodSeconds=STOP_SECONDS,
        volumes=volumes,
        nodeSelector=_node_selector(job, job.driver) or None,
        tolerations=_tolerations(job) or None,
    )


def template(name: str, job: SparkJobFields, labels: Labels, hdfs: str = "") -> str:
    """Return the template from which Spark creates each executor's pod, as JSON.

    Spark itself adds name, owner, CPU, memory, ports and its own variables.
    """
    volumes, mounts = _volumes(job, job.executors)
    disk = pod_defaults.disk(pod_defaults.folders_mib(volumes))
    container: Manifest = {
        "name": EXECUTOR,
        "env": _variables(name, job, hdfs),
        "resources": {
            "requests": pod_defaults.disk(
                min(pod_defaults.folders_mib(volumes), pod_defaults.ASKED_FOLDERS_MIB)
            ),
            "limits": disk,
        },
        "securityContext": pod_defaults.container_security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "securityContext": pod_defaults.pod_security_context(),
        "serviceAccountName": executor_account(name),
        "volumes": volumes,
    }
    if selector := _node_selector(job, job.executors):
        spec["nodeSelector"] = selector
    if tolerations := _tolerations(job):
        spec["tolerations"] = tolerations
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"labels": {**labels, ROLE: EXECUTOR}},
            "spec": spec,
        },
        indent=1,
        sort_keys=True,
    )


def history(name: str, job: SparkJobFields) -> Manifest:
    """Return the pod of the history server, which only reads the event log."""
    event_log = {"event_log": job.event_log} if job.event_log else {}
    volumes, mounts = _claims(event_log)
    scratch, scratch_mount = _scratch(1024)
    volumes += [scratch, _config(name)]
    mounts += [scratch_mount, _config_mount()]
    port = spark_properties.HISTORY_PORT
    properties = f"{spark_properties.FOLDER}/{spark_properties.HISTORY_PROPERTIES}"
    variables = {
        "SPARK_DAEMON_MEMORY": f"{HISTORY_HEAP_MIB}m",
        "SPARK_PROPERTIES": properties,
    }
    container = pod_defaults.container(
        HISTORY,
        job.image,
        args=["history"],
        env=[
            *({"name": key, "value": value} for key, value in variables.items()),
            *_event_log(name, job),
        ],
        ports=[{"name": "http", "containerPort": port, "protocol": "TCP"}],
        resources=pod_defaults.resources(
            cpu_request_millicores=50,
            cpu_limit_millicores=1000,
            memory_request_mib=HISTORY_MEMORY_MIB,
            memory_limit_mib=HISTORY_MEMORY_MIB,
        ),
        readinessProbe=http_probe("/", "http", seconds=5),
        livenessProbe=http_probe("/", "http", seconds=20, failures=6),
        volumeMounts=mounts,
        terminationMessagePolicy="FallbackToLogsOnError",
    )
    return pod_defaults.pod(
        [container],
        service_account=executor_account(name),
        volumes=volumes,
        nodeSelector=dict(job.node_selector) or None,
        tolerations=_tolerations(job) or None,
    )


def executor_account(name: str) -> str:
    """Return the service account without permissions, of executors and history."""
    return f"{name}-executor"


def _of_driver(name: str, job: SparkJobFields) -> list[Manifest]:
    found: list[Manifest] = [
        _of_pod("SPARK_POD_NAME", "metadata.name"),
        _of_pod("SPARK_POD_IP", "status.podIP"),
        _of_pod("SLIPWAY_RUN", "metadata.labels['batch.kubernetes.io/job-name']"),
    ]
    if job.main_class:
        found.append({"name": "SPARK_MAIN_CLASS", "value": job.main_class})
    return [*found, *_event_log(name, job)]


def _event_log(name: str, job: SparkJobFields) -> list[Manifest]:
    """Return the folder on a claim, which Spark does not create by itself."""
    if not job.event_log or not job.event_log.claim:
        return []
    folder = spark_properties.event_log(name, job).removeprefix("file:")
    return [{"name": "SPARK_EVENT_LOG", "value": folder}]


def _of_pod(name: str, path: str) -> Manifest:
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}
    return {"name": name, "valueFrom": source}


def _variables(name: str, job: SparkJobFields, hdfs: str) -> list[Manifest]:
    """Return the program's variables, in driver and executors."""
    found = {"HOME": spark_properties.SCRATCH}
    if hdfs:
        found["SLIPWAY_HDFS"] = hdfs
    if job.storage:
        found["SLIPWAY_STORAGE"] = spark_properties.storage(name, job)
    if job.data:
        found["SLIPWAY_DATA"] = spark_properties.data(job)
    for key, value in sorted(job.environment.items()):
        found[key] = pod_environment.literal(value)
    return [{"name": key, "value": value} for key, value in found.items()]


def _resources(pod: SparkPod) -> dict[str, dict[str, str]]:
    memory = pod_defaults.memory_quantity(pod.memory_mib)
    cpu = pod_defaults.cpu_quantity
    return {
        "requests": {"cpu": cpu(pod.request_millicores), "memory": memory},
        "limits": {"cpu": cpu(pod.cores * 1000), "memory": memory},
    }


def _volumes(job: SparkJobFields, pod: SparkPod) -> tuple[list[Any], list[Any]]:
    """Return scratch, data and claim volumes, and their mounts."""
    volumes, mounts = _claims(job.claims)
    scratch, scratch_mount = _scratch(pod.scratch_mib)
    volumes.insert(0, scratch)
    mounts.insert(0, scratch_mount)
    if job.data and job.data.image:
        image = {"reference": job.data.image, "pullPolicy": "IfNotPresent"}
        volumes.append({"name": "data", "image": image})
        mounts.append({"name": "data", "mountPath": DATA, "readOnly": True})
    return volumes, mounts


def _scratch(mib: int) -> tuple[Manifest, Manifest]:
    size = {"sizeLimit": pod_defaults.memory_quantity(mib)}
    mount = {"name": SCRATCH_VOLUME, "mountPath": spark_properties.SCRATCH}
    return {"name": SCRATCH_VOLUME, "emptyDir": size}, mount


def _claims(places: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return each claim as one volume, even if it is mounted several times."""
    names: dict[str, str] = {}
    mounts: list[Any] = []
    for setting, place in places.items():
        if place.claim:
            name = names.setdefault(place.claim, setting.replace("_", "-"))
            mounts.append({"name": name, "mountPath": MOUNTS[setting]})
    volumes: list[Any] = [
        {"name": name, "persistentVolumeClaim": {"claimName": claim}}
        for claim, name in names.items()
    ]
    return volumes, mounts


def _config(name: str) -> Manifest:
    return {"name": "spark", "configMap": {"name": name}}


def _config_mount() -> Manifest:
    return {"name": "spark", "mountPath": spark_properties.FOLDER, "readOnly": True}


def _node_selector(job: SparkJobFields, pod: SparkPod) -> dict[str, str]:
    pool = {POOL_LABEL: pod.pool} if pod.pool else {}
    return {**job.node_selector, **pool}


def _tolerations(job: SparkJobFields) -> list[Any]:
    return [taint.toleration for taint in job.tolerations]


def selector(labels: Labels, role: str) -> dict[str, str]:
    """Labels of the job's pods of one role."""
    return {**labels, ROLE: role}
