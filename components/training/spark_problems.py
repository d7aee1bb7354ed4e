"""Check for conflicts among the settings of one Spark job."""

from __future__ import annotations

from collections.abc import Iterator

from components import variable_problems
from components.cluster.nodes.pool_nodes import POOL_LABEL
from components.security import secret_shapes
from components.settings import Problem
from components.training import spark_pod, spark_program, spark_properties
from components.training.spark_fields import SparkJobFields
from components.training.spark_program import LEAST_HEAP_MIB


def problems(job: SparkJobFields) -> Iterator[Problem]:
    """Report all problems; paths are relative to the job's settings."""
    yield from spark_program.main_class_problems(job.main, job.main_class)
    yield from _pods(job)
    yield from _volumes(job)
    yield from _history(job)
    yield from spark_program.property_problems(
        job.properties,
        spark_properties.owned,
        "everybody who may read the job's ConfigMap would see it",
        "give the pods a role (service_account), and remove it",
    )
    yield from secret_shapes.problems(job.environment, job.accept_plain_text, "Job")
    yield from variable_problems.problems(
        job.environment, {}, spark_pod.OWN_VARIABLES, whose="the job"
    )


def _pods(job: SparkJobFields) -> Iterator[Problem]:
    """Report heaps that Spark rejects, requests over limits, and reversed bounds."""
    for name, pod in job.pods.items():
        if pod.heap_mib < LEAST_HEAP_MIB:
            yield Problem(
                f"{name}.memory_mib",
                pod.memory_mib,
                f"without memory_overhead_mib = {pod.memory_overhead_mib} it leaves "
                f"{pod.heap_mib} MiB for Java's heap, and Spark needs {LEAST_HEAP_MIB}",
                f"give at least {LEAST_HEAP_MIB + pod.memory_overhead_mib}, or lower "
                "memory_overhead_mib",
            )
        if pod.request_millicores > pod.cores * 1000:
            yield Problem(
                f"{name}.cpu_request_millicores",
                pod.cpu_request_millicores,
                f"it is more than cores, which is {pod.cores}",
                f"give at most {pod.cores * 1000}, or raise cores",
            )
        if pod.pool and POOL_LABEL in job.node_selector:
            yield Problem(
                f"node_selector.{POOL_LABEL}",
                job.node_selector[POOL_LABEL],
                f"{name}.pool already sets it: {pod.pool}",
                "remove it",
            )
    yield from spark_program.executor_problems(job.executors)


def _volumes(job: SparkJobFields) -> Iterator[Problem]:
    """Report claims of one node while driver and executors run on several."""
    needing = {"storage": "driver and executors"}
    if job.history_server:
        needing["event_log"] = "driver and history server"
    for name, whose in needing.items():
        place = job.claims.get(name)
        if place and place.claim and not place.many_nodes:
            yield Problem(
                f"{name}.many_nodes",
                place.many_nodes,
                f"only one node could mount the claim, and {whose} may be on several",
                "set many_nodes: true with a class that has it (EFS, not EBS), or give "
                "a bucket",
            )


def _history(job: SparkJobFields) -> Iterator[Problem]:
    if job.history_server and not job.event_log:
        yield Problem(
            "history_server",
            job.history_server,
            "it shows the event log, and none is written",
            "set event_log, or remove it",
        )
