"""The properties of a Spark job, and those that users cannot set."""

from __future__ import annotations

from components import images
from components.security.pod_defaults import cpu_quantity
from components.training import hdfs_files, spark_program
from components.training.hdfs_settings import HdfsArgs
from components.training.spark_fields import (
    DATA,
    EVENT_LOG,
    EXECUTOR,
    STORAGE,
    SparkJobFields,
)

FOLDER = "/etc/slipway-spark"
PROPERTIES, TEMPLATE = "spark.properties", "executor.json"
"""Files of the job's ConfigMap, which is mounted at FOLDER."""
HISTORY_PROPERTIES = "history.properties"
DRIVER_PORT, BLOCK_PORT, PAGES_PORT, HISTORY_PORT = 7078, 7079, 4040, 18080
"""Ports, in order: the driver's, to which executors connect; the block manager's, which
all of them use; the driver's web UI; the history server's."""
SCRATCH = "/tmp"  # noqa: S108 the pod's own
DECOMMISSION = "/app/decommission"
API_SERVER = "k8s://https://kubernetes.default.svc"
OWNED = {
    "spark.app.name": "the job's name is used",
    "spark.blockManager.port": "network policies open its port",
    "spark.decommission.": "set decommission_seconds",
    "spark.driver.bindAddress": "the pod's address is used",
    "spark.driver.blockManager.port": "network policies open its port",
    "spark.driver.cores": "set driver.cores",
    "spark.driver.host": "the pod's address is used",
    "spark.driver.memory": "set driver.memory_mib and driver.memory_overhead_mib",
    "spark.driver.port": "network policies open its port",
    "spark.dynamicAllocation.": "set executors.max_instances",
    "spark.eventLog.": "set event_log",
    "spark.executor.cores": "set executors.cores",
    "spark.executor.instances": "set executors.instances",
    "spark.executor.memory": "set executors.memory_mib and "
    "executors.memory_overhead_mib",
    # Spark adds both to the memory of an executor's pod.
    "spark.executor.pyspark.memory": "raise executors.memory_overhead_mib",
    "spark.executorEnv.": "set environment",
    "spark.history.": "set event_log and history_server",
    "spark.kubernetes.": "driver, executors and their places are settings of the job",
    "spark.local.dir": "the pod's own folder is used, of scratch_mib",
    "spark.master": "the job runs in its cluster",
    "spark.memory.offHeap.": "raise executors.memory_mib",
    "spark.port.maxRetries": "network policies open one port each",
    "spark.shuffle.service.": "there is no shuffle service",
    "spark.storage.decommission.": "set decommission_seconds",
    "spark.submit.": "the driver runs in client mode",
    "spark.ui.port": "its port is fixed",
}
"""Reserved properties, by name or by prefix, with the alternative."""


def owned(key: str) -> str | None:
    """Return the alternative to setting this property; None: it can be set."""
    return spark_program.alternative(key, OWNED)


def of(
    name: str, namespace: str, job: SparkJobFields, hdfs: HdfsArgs | None = None
) -> dict[str, str]:
    """Return all properties of the job; the entry point adds those of a pod.

    `hdfs`: the file system that the job uses.
    """
    return {
        **USUAL,
        **(hdfs_files.of_spark(hdfs) if hdfs else {}),
        **_network(),
        **_driver(name, namespace, job),
        **_executors(job),
        **_scaling(job),
        **_decommission(job),
        **_event_log(name, job),
        **job.properties,
    }


def text(properties: dict[str, str]) -> str:
    """The properties as a file.

    https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html
    """
    lines = (f"{key}={_escaped(value)}" for key, value in sorted(properties.items()))
    return "".join(f"{line}\n" for line in lines)


def _escaped(value: str) -> str:
    doubled = value.replace("\\", "\\\\")
    return f"\\{doubled}" if doubled.startswith(" ") else doubled


def _network() -> dict[str, str]:
    return {
        "spark.driver.port": str(DRIVER_PORT),
        "spark.driver.blockManager.port": str(BLOCK_PORT),
        "spark.blockManager.port": str(BLOCK_PORT),
        "spark.port.maxRetries": "0",
        "spark.ui.port": str(PAGES_PORT),
    }


USUAL = {
    "spark.log.level": "WARN",
    # The default is the working folder, which is read-only.
    "spark.sql.warehouse.dir": f"{SCRATCH}/spark-warehouse",
}
"""Properties that the job's own may override."""


def _driver(name: str, namespace: str, job: SparkJobFields) -> dict[str, str]:
    return {
        "spark.app.name": name,
        "spark.master": API_SERVER,
        "spark.submit.deployMode": "client",
        "spark.driver.memory": f"{job.driver.heap_mib}m",
        "spark.kubernetes.namespace": namespace,
        # The driver has permissions only for pods. It creates no ConfigMaps, claims and
        # Services, and so has none to delete.
        "spark.kubernetes.executor.disableConfigMap": "true",
        "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
        "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
        "spark.kubernetes.driver.service.deleteOnTermination": "false",
    }


def _executors(job: SparkJobFields) -> dict[str, str]:
    own = job.executors
    prefix = "spark.kubernetes.executor"
    return {
        "spark.executor.instances": str(own.instances),
        "spark.executor.cores": str(own.cores),
        "spark.executor.memory": f"{own.heap_mib}m",
        "spark.executor.memoryOverhead": f"{own.memory_overhead_mib}m",
        f"{prefix}.request.cores": cpu_quantity(own.request_millicores),
        f"{prefix}.limit.cores": cpu_quantity(own.cores * 1000),
        f"{prefix}.podTemplateFile": f"{FOLDER}/{TEMPLATE}",
        f"{prefix}.podTemplateContainerName": EXECUTOR,
        "spark.kubernetes.container.image": job.image,
        "spark.kubernetes.container.image.pullPolicy": images.pull_policy(job.image),
    }


def _scaling(job: SparkJobFields) -> dict[str, str]:
    own = job.executors
    if own.most == own.instances:
        return {}
    prefix = "spark.dynamicAllocation"
    return {
        f"{prefix}.enabled": "true",
        # Without a shuffle service, executors with shuffled data must stay.
        f"{prefix}.shuffleTracking.enabled": "true",
        f"{prefix}.minExecutors": str(own.instances),
        f"{prefix}.maxExecutors": str(own.most),
    }


def _decommission(job: SparkJobFields) -> dict[str, str]:
    if job.decommission_seconds is None:
        return {}
    grace = str(job.decommission_seconds)
    return {
        "spark.decommission.enabled": "true",
        "spark.storage.decommission.enabled": "true",
        "spark.storage.decommission.rddBlocks.enabled": "true",
        "spark.storage.decommission.shuffleBlocks.enabled": "true",
        "spark.kubernetes.decommission.script": DECOMMISSION,
        "spark.kubernetes.executor.terminationGracePeriodSeconds": grace,
    }


def _event_log(name: str, job: SparkJobFields) -> dict[str, str]:
    if not job.event_log:
        return {}
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": event_log(name, job),
    }


def history(name: str, job: SparkJobFields) -> dict[str, str]:
    """Properties of the history server."""
    return {
        "spark.history.fs.logDirectory": event_log(name, job),
        "spark.history.ui.port": str(HISTORY_PORT),
        "spark.history.store.maxDiskUsage": "256m",
    }


def event_log(name: str, job: SparkJobFields) -> str:
    """Return the address of the folder with the event logs."""
    assert job.event_log
    if job.event_log.bucket:
        return _s3a(job.event_log.bucket)
    return f"file:{EVENT_LOG}/{job.event_log.path or name}"


def storage(name: str, job: SparkJobFields) -> str:
    """Return the program's SLIPWAY_STORAGE."""
    assert job.storage
    return (
        _s3a(job.storage.bucket)
        if job.storage.bucket
        else f"{STORAGE}/{job.storage.path or name}"
    )


def data(job: SparkJobFields) -> str:
    """Return the program's SLIPWAY_DATA."""
    assert job.data
    return _s3a(job.data.bucket) if job.data.bucket else DATA


def _s3a(bucket: str) -> str:
    """Return Hadoop's form of a bucket's address."""
    return bucket.replace("s3://", "s3a://", 1)
