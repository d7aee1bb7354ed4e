"""What cannot work among the settings of EMR Serverless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from components.cluster.account_settings import AccountSettings
from components.cluster.iam.arns import Arns
from components.cluster.storage import storage_names
from components.settings import ABSENT, Problem
from components.training import emr_parameters, spark_program
from components.training.emr_fields import (
    SIZES,
    EmrFields,
    EmrJobFields,
    EmrWorker,
    MaximumCapacity,
)
from components.training.spark_program import LEAST_HEAP_MIB


def of_job(job: EmrJobFields) -> Iterator[Problem]:
    """Of one job; paths are relative to its settings."""
    yield from spark_program.main_class_problems(job.main, job.main_class)
    for name, pod in job.pods.items():
        yield from _size(f"{name}.memory_gib", pod)
        if pod.heap_mib < LEAST_HEAP_MIB:
            yield Problem(
                f"{name}.memory_overhead_mib",
                pod.memory_overhead_mib,
                f"of {pod.memory_gib} GiB it leaves {pod.heap_mib} MiB for Java's "
                f"heap, and Spark needs {LEAST_HEAP_MIB}",
                "lower it, or raise memory_gib",
            )
    yield from spark_program.executor_problems(job.executors)
    yield from spark_program.property_problems(
        job.properties,
        emr_parameters.owned,
        "everybody who may see the job's runs would see it",
        "let the program read it from Secrets Manager, and remove it",
    )


def of_application(emr: EmrFields) -> Iterator[Problem]:
    """Of the application; paths are relative to its settings."""
    initial = emr.initial_capacity
    if not initial:
        return
    warm = {"drivers": initial.drivers, "executors": initial.executors}
    given = {name: one for name, one in warm.items() if one}
    if not given:
        yield Problem(
            "initial_capacity",
            ABSENT,
            "it keeps no workers ready",
            "give drivers, executors or both, or remove it",
        )
    for name, one in given.items():
        yield from _size(f"initial_capacity.{name}.memory_gib", one)
    wanted = _sum((one, one.instances) for one in given.values())
    for what, needed, most in _over(wanted, emr.maximum_capacity):
        yield Problem(
            f"maximum_capacity.{what}",
            most,
            f"initial_capacity alone takes {needed}",
            f"give at least {needed}, or lower initial_capacity",
        )


def together(emr: EmrFields, name: str, job: EmrJobFields) -> Iterator[Problem]:
    """Of a job and its application; paths are relative to the application's."""
    if job.in_image and not emr.image:
        yield Problem(
            f"jobs.{name}.main",
            job.main,
            "it is a path in the image, and no image is given",
            "give image, or a program in a bucket",
        )
    least = _sum([(job.driver, 1), (job.executors, job.executors.instances)])
    most = _sum([(job.driver, 1), (job.executors, job.executors.most)])
    never = {what for what, _, _ in _over(least, emr.maximum_capacity)}
    for what, needed, limit in _over(most, emr.maximum_capacity):
        yield Problem(
            f"jobs.{name}.executors",
            job.executors.most,
            f"with the driver they take {needed} of {what}, and maximum_capacity has "
            f"{limit}: the run would "
            + ("wait for them for ever" if what in never else "never have the last"),
            f"raise maximum_capacity.{what}, or lower the job's",
        )


def of_account(emr: EmrFields, account: AccountSettings) -> Iterator[Problem]:
    """What the account's number and region decide; paths are the stack's."""
    arns = Arns(account.id, account.region)
    longest = len(storage_names.emr_log_bucket("", arns))
    if longest + len(emr.name) > storage_names.LONGEST_BUCKET:
        yield Problem(
            "emr.name",
            emr.name,
            "with account and region the log bucket's name would be longer than "
            f"{storage_names.LONGEST_BUCKET} characters",
            f"give at most {storage_names.LONGEST_BUCKET - longest} characters",
        )
    if emr.image and emr.image.split(".")[3] != account.region:
        yield Problem(
            "emr.image",
            emr.image,
            f"EMR Serverless reads images of its own region, {account.region}, alone",
            "push it to a repository of this region",
        )
    if account.production and not emr.logs.protect:
        yield Problem(
            "emr.logs.protect",
            emr.logs.protect,
            "production: one command would end the logs of all runs",
            "remove it",
        )


def _size(path: str, worker: EmrWorker) -> Iterator[Problem]:
    least, most, step = SIZES[worker.vcpus]
    if not least <= worker.memory_gib <= most or (worker.memory_gib - least) % step:
        steps = f" in steps of {step}" if step > 1 else ""
        yield Problem(
            path,
            worker.memory_gib,
            f"EMR Serverless has no worker of {worker.vcpus} vCPUs with so much",
            f"give {least} to {most}{steps}, or other vcpus",
        )


def _sum(workers: Iterable[tuple[EmrWorker, int]]) -> dict[str, int]:
    found = dict.fromkeys(("vcpus", "memory_gib", "disk_gib"), 0)
    for worker, count in workers:
        for what in found:
            found[what] += getattr(worker, what) * count
    return found


def _over(
    wanted: Mapping[str, int], limit: MaximumCapacity
) -> Iterator[tuple[str, int, int]]:
    for what, needed in wanted.items():
        most = getattr(limit, what)
        if most is not None and needed > most:
            yield what, needed, most
