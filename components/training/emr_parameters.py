"""What a run of EMR Serverless is asked for: the parameters of StartJobRun."""

from __future__ import annotations

from typing import Any

from components.cluster.iam import names
from components.cluster.iam.arns import Arns
from components.training import spark_program
from components.training.emr_fields import EmrFields, EmrJobFields

OWNED = {
    "spark.archives": "put what the program needs into the image",
    "spark.driver.cores": "set driver.vcpus",
    "spark.driver.memory": "set driver.memory_gib and driver.memory_overhead_mib",
    "spark.dynamicAllocation.": "set executors.max_instances",
    "spark.emr-serverless.driver.disk": "set driver.disk_gib",
    "spark.emr-serverless.executor.disk": "set executors.disk_gib",
    "spark.executor.cores": "set executors.vcpus",
    "spark.executor.instances": "set executors.instances",
    "spark.executor.memory": "set executors.memory_gib and "
    "executors.memory_overhead_mib",
    "spark.master": "the job runs in EMR Serverless",
    "spark.submit.": "EMR Serverless submits the job",
}
"""Properties by name, or by what their names begin with, and what to do instead."""
JOB_TAG = "slipway.dev/job"


def owned(key: str) -> str | None:
    """What to do instead of setting this property; None: it can be set."""
    return spark_program.alternative(key, OWNED)


def properties(job: EmrJobFields) -> dict[str, str]:
    """Spark's properties.

    https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/jobs-spark.html
    """
    found: dict[str, str] = {}
    for kind, pod in (("driver", job.driver), ("executor", job.executors)):
        found |= {
            f"spark.{kind}.cores": str(pod.vcpus),
            f"spark.{kind}.memory": f"{pod.heap_mib}m",
            f"spark.{kind}.memoryOverhead": f"{pod.overhead_mib}m",
            f"spark.emr-serverless.{kind}.disk": f"{pod.disk_gib}G",
        }
    own = job.executors
    scaled = own.most > own.instances
    # EMR Serverless scales without a limit unless one is set.
    found |= {
        "spark.executor.instances": str(own.instances),
        "spark.dynamicAllocation.enabled": "true" if scaled else "false",
    }
    if scaled:
        found |= {
            "spark.dynamicAllocation.initialExecutors": str(own.instances),
            "spark.dynamicAllocation.minExecutors": str(own.instances),
            "spark.dynamicAllocation.maxExecutors": str(own.most),
        }
    return {**found, **job.properties}


def run(emr: EmrFields, name: str, job: EmrJobFields, arns: Arns) -> dict[str, Any]:
    """Parameters of StartJobRun, without the application's id."""
    # Not as text for spark-submit, which is split at blanks.
    defaults = {"classification": "spark-defaults", "properties": properties(job)}
    submit: dict[str, Any] = {
        "entryPoint": f"local://{job.main}" if job.in_image else job.main,
        "entryPointArguments": list(job.arguments),
    }
    if job.main_class:
        submit["sparkSubmitParameters"] = f"--class {job.main_class}"
    return {
        "name": name,
        "executionRoleArn": arns.role(names.emr_role(emr.name, name)),
        "jobDriver": {"sparkSubmit": submit},
        "configurationOverrides": {"applicationConfiguration": [defaults]},
        "executionTimeoutMinutes": job.deadline_minutes,
        "retryPolicy": {"maxAttempts": job.retries + 1},
        "tags": {JOB_TAG: name},
    }
