"""Fields of the settings of EMR Serverless: one application and its jobs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.cluster.network.network_settings import SubnetId
from components.setting_types import ModelName, Whole
from components.settings import ABSENT, Problem, Settings, refuse
from components.training.spark_fields import (
    Argument,
    ClassName,
    PropertyKey,
    PropertyValue,
)
from components.training.volume_settings import Bucket

SIZES = {1: (2, 8, 1), 2: (4, 16, 1), 4: (8, 30, 1), 8: (16, 60, 4), 16: (32, 120, 8)}
"""Of a worker, by its vCPUs: least and most memory, and its steps, in GiB, which AWS
calls GB.
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/app-behavior.html
(2026-12-01)"""
LEAST_OVERHEAD_MIB, OVERHEAD_SHARE = 384, 0.1
"""Spark's own defaults.
https://spark.apache.org/docs/latest/configuration.html#application-properties"""
_RELEASE = re.compile(r"emr-(spark-)?[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}(-[0-9]{8})?")
_IMAGE = re.compile(
    r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/"
    r"[a-z0-9]+([._/-]+[a-z0-9]+)*@sha256:[0-9a-f]{64}"
)
_MAIN = re.compile(
    r"(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?(/[A-Za-z0-9._=-]+)+\.(py|jar)"
)
_GROUP = re.compile(r"sg-[0-9a-f]{8}([0-9a-f]{9})?")
_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[a-f0-9-]{36}")


def _release(text: str) -> str:
    if not _RELEASE.fullmatch(text):
        refuse(
            "not the label of a release of EMR",
            "give one such as emr-7.13.0 (Spark 3.5) or emr-spark-8.0.0 (Spark 4)",
        )
    return text


def _image(text: str) -> str:
    if not _IMAGE.fullmatch(text):
        refuse(
            "not an image of ECR by its digest",
            "give ACCOUNT.dkr.ecr.REGION.amazonaws.com/path@sha256:<64 hex digits>: "
            "EMR Serverless reads no other registry, and a tag alone may change",
        )
    return text


def _main(text: str) -> str:
    if not _MAIN.fullmatch(text):
        refuse(
            "neither a program in a bucket nor the path of one in the image",
            "give one such as s3://bucket/counts.py or /app/counts.jar",
        )
    return text


def _group(text: str) -> str:
    if not _GROUP.fullmatch(text):
        refuse("not the ID of a security group", "give one like sg-0123456789abcdef0")
    return text


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        refuse(
            "not the ARN of a KMS key",
            "give arn:aws:kms:REGION:ACCOUNT:key/ID; an alias is none",
        )
    return text


KeyArn = Annotated[str, AfterValidator(_key)]
"""The ARN of a KMS key."""


class EmrWorker(Settings):
    """CPU, memory and disk of one worker of EMR Serverless."""

    vcpus: Literal[1, 2, 4, 8, 16] = 4
    """vCPUs; an executor runs as many tasks at a time."""
    memory_gib: Annotated[Whole, Field(ge=2, le=120)] = 16
    """Memory in GiB, of Java's heap and `memory_overhead_mib`. Which values there are
    depends on the vCPUs: 4 vCPUs have 8 to 30 GiB."""
    disk_gib: Annotated[Whole, Field(ge=20, le=200)] = 20
    """Disk in GiB, for what Spark shuffles and spills."""


class EmrPod(EmrWorker):
    """The driver, or each executor."""

    memory_overhead_mib: Annotated[Whole | None, Field(ge=384, le=65_536)] = None
    """The part of `memory_gib` that is not Java's heap, in MiB; default: a tenth, at
    least 384. Python's processes need more."""

    @property
    def overhead_mib(self) -> int:
        """MiB that are not Java's heap."""
        share = math.ceil(self.memory_gib * 1024 * OVERHEAD_SHARE)
        return self.memory_overhead_mib or max(LEAST_OVERHEAD_MIB, share)

    @property
    def heap_mib(self) -> int:
        """Java's heap, in MiB."""
        return self.memory_gib * 1024 - self.overhead_mib


class EmrExecutors(EmrPod):
    """The executors of a job."""

    instances: Annotated[Whole, Field(ge=1, le=1000)] = 2
    """Executors at the start, and the least of them."""
    max_instances: Annotated[Whole | None, Field(ge=1, le=1000)] = None
    """The most of them, which Spark makes while tasks wait; default: as many as at
    the start."""

    @property
    def most(self) -> int:
        """The most executors that there may be at one time."""
        return self.max_instances or self.instances


class WarmWorkers(EmrWorker):
    """Workers that an application that has started keeps ready, and AWS bills."""

    instances: Annotated[Whole, Field(ge=1, le=1000)] = 1
    """How many."""


class InitialCapacity(Settings):
    """Workers that are ready before a run needs them."""

    drivers: WarmWorkers | None = None
    """Drivers."""
    executors: WarmWorkers | None = None
    """Executors."""


class MaximumCapacity(Settings):
    """The most that all runs of the application may use at one time."""

    vcpus: Annotated[Whole, Field(ge=1, le=100_000)]
    """vCPUs."""
    memory_gib: Annotated[Whole, Field(ge=2, le=1_000_000)]
    """Memory in GiB."""
    disk_gib: Annotated[Whole | None, Field(ge=20, le=10_000_000)] = None
    """Disk in GiB; default: no limit."""


class EmrNetwork(Settings):
    """The application's place in a VPC, for data that are reached from there alone."""

    subnets: Annotated[tuple[SubnetId, ...], Field(max_length=16)]
    """Private subnets in several zones, with a way to S3: a gateway endpoint or NAT."""
    security_groups: Annotated[
        tuple[Annotated[str, AfterValidator(_group)], ...],
        Field(max_length=5),
    ]
    """Security groups of the workers."""

    def contradictions(self) -> Iterator[Problem]:
        """Report missing subnets or security groups."""
        for name in ("subnets", "security_groups"):
            if not getattr(self, name):
                yield Problem(
                    name,
                    ABSENT,
                    "the workers' interfaces need one",
                    "give at least one, or remove network",
                )


class EmrLogs(Settings):
    """The bucket with the logs of all runs."""

    retention_days: Annotated[Whole, Field(ge=1, le=3650)] = 90
    """How long logs are kept."""
    protect: bool = True
    """False lets `slipway destroy` delete the bucket with all logs, and its key."""


class EmrJobFields(Settings):
    """One Spark application; each run of it is started by `slipway run`."""

    main: Annotated[str, AfterValidator(_main)]
    """The program: s3://bucket/key of a Python file or jar, or its path in `image`."""
    main_class: ClassName | None = None
    """Class of the jar whose main method is called."""
    arguments: tuple[Argument, ...] = ()
    """Arguments of the program."""
    driver: EmrPod = EmrPod()
    """The driver."""
    executors: EmrExecutors = EmrExecutors()
    """The executors."""
    reads: tuple[Bucket, ...] = ()
    """Prefixes that the job may read, each s3://bucket/prefix: without one it can read
    its program alone."""
    writes: tuple[Bucket, ...] = ()
    """Prefixes that it may read, write and delete in: Spark's committers rename by copy
    and delete."""
    keys: tuple[KeyArn, ...] = ()
    """KMS keys of the buckets, which the job may use by S3 alone."""
    properties: dict[PropertyKey, PropertyValue] = Field(
        default={}, validate_default=True
    )
    """Properties of Spark in addition to those that the other settings set; each value
    is text."""
    retries: Annotated[Whole, Field(ge=0, le=9)] = 0
    """Times that the driver is started again after a failure."""
    deadline_minutes: Annotated[Whole, Field(ge=5, le=1_000_000)] = 720
    """Longest time of a run, in minutes; EMR Serverless then cancels it."""

    @property
    def in_image(self) -> bool:
        """Whether the program lies in the image."""
        return self.main.startswith("/")

    @property
    def pods(self) -> dict[str, EmrPod]:
        """Driver and executors by their settings."""
        return {"driver": self.driver, "executors": self.executors}


class EmrFields(Settings):
    """An application of EMR Serverless, its log bucket, and jobs with a role each."""

    name: ModelName
    """Name of the application, and the beginning of all its names in AWS."""
    release: Annotated[str, AfterValidator(_release)]
    """EMR's release, such as emr-7.13.0, which decides the version of Spark."""
    architecture: Literal["arm64", "x86_64"] = "arm64"
    """Processors of the workers; `image` must be made for them."""
    image: Annotated[str, AfterValidator(_image)] | None = None
    """Image of all workers, of the region's ECR and by digest, that starts from EMR's
    own of this release; default: EMR's own."""
    maximum_capacity: MaximumCapacity
    """Limit of all runs together, and so of what an hour can cost."""
    initial_capacity: InitialCapacity | None = None
    """Workers kept ready; default: none, and a run waits a minute or two for its
    own."""
    idle_minutes: Annotated[Whole, Field(ge=1, le=10_080)] = 15
    """Minutes without a run after which the application stops; the next run starts
    it."""
    network: EmrNetwork | None = None
    """VPC of the workers; default: AWS's own, which reaches AWS's services in the
    region and nothing else."""
    logs: EmrLogs = EmrLogs()
    """Logs of the runs."""
