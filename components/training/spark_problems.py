"""Check for conflicts among the settings of one Spark job."""

from __future__ import annotations

from collections.abc import Iterator

from components import variable_problems
from components.cluster.nodes.pool_nodes import POOL_LABEL
from components.security import secret_shapes
from components.setting_secrets import NOT_SHOWN
from components.settings import ABSENT, Problem
from components.training import spark_pod, spark_properties
from components.training.spark_fields import SparkJobFields

LEAST_HEAP_MIB = 512
"""Spark refuses to start with less than 450 MiB, and Java reports less memory than it
was given.
https://spark.apache.org/docs/latest/tuning.html#memory-management-overview"""


def problems(job: SparkJobFields) -> Iterator[Problem]:
    """Report all problems; paths are relative to the job's settings."""
    yield from _program(job)
    yield from _pods(job)
    yield from _volumes(job)
    yield from _history(job)
    yield from _properties(job)
    yield from secret_shapes.problems(job.environment, job.accept_plain_text, "Job")
    yield from variable_problems.problems(
        job.environment, {}, spark_pod.OWN_VARIABLES, whose="the job"
    )


def _program(job: SparkJobFields) -> Iterator[Problem]:
    """Report a jar without a class, or a class without a jar."""
    is_jar = job.main.endswith(".jar")
    if is_jar and not job.main_class:
        yield Problem(
            "main_class",
            ABSENT,
            "main is a jar, of which one class is started",
            "give the class with the main method, such as org.example.Counts",
        )
    if job.main_class and not is_jar:
        yield Problem(
            "main_class",
            job.main_class,
            "main is a Python file, which has no classes to start",
            "remove it",
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
    own = job.executors
    if own.most < own.instances:
        yield Problem(
            "executors.max_instances",
            own.max_instances,
            f"instances, the least of them, is {own.instances}",
            f"give at least {own.instances}, or lower instances",
        )


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


def _properties(job: SparkJobFields) -> Iterator[Problem]:
    """Report properties that a setting controls, and values that look like secrets."""
    for key, value in sorted(job.properties.items()):
        why = secret_shapes.found(key.replace(".", "_"), value)
        if instead := spark_properties.owned(key):
            yield Problem(
                f"properties.{key}",
                NOT_SHOWN if why else value,
                f"the job sets it: {instead}",
                "remove it",
            )
        elif why:
            yield Problem(
                f"properties.{key}",
                NOT_SHOWN,
                f"{why}, and everybody who may read the job's ConfigMap would see it",
                "give the pods a role (service_account), and remove it",
            )
