"""What can be said about a Spark job: its fields and what follows from them."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from components.cluster.nodes.taint import LabelKey, NodeValue, Taint
from components.images import ImageReference
from components.serving.settings.egress_settings import Egress
from components.serving.settings.service_account_settings import ServiceAccount
from components.serving.settings.variable_types import VariableName, VariableValue
from components.setting_types import DnsLabel, Whole
from components.settings import Settings, refuse
from components.training.schedule import Schedule
from components.training.volume_settings import Claim, Data

DRIVER, EXECUTOR = "driver", "executor"
"""Containers, and values of the label `spark-role`."""
STORAGE, EVENT_LOG, DATA = "/storage", "/event-log", "/data"
"""Where the volumes are mounted, in driver and executors alike."""
LEAST_GRACE_SECONDS, MOST_GRACE_SECONDS = 45, 120
"""An executor that was to leave took 32 s for its tasks and blocks (2026-11-28, Spark
4.3.0); EC2 announces the end of a spot instance 120 s before.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""
_MAIN = re.compile(r"(/[A-Za-z0-9._-]+)+\.(py|jar)")
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_KEY = re.compile(r"spark\.[A-Za-z0-9_.-]*[A-Za-z0-9]")


def _main(text: str) -> str:
    if not _MAIN.fullmatch(text):
        refuse(
            "not the path of a program in the image",
            "give one such as /app/counts.py or /app/counts.jar",
        )
    return text


def _class(text: str) -> str:
    if not _CLASS.fullmatch(text):
        refuse("not the name of a class", "give one such as org.example.Counts")
    return text


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        refuse(
            "not a property of Spark, which reads those alone whose names begin with "
            "spark.",
            "give one such as spark.sql.shuffle.partitions",
        )
    return text


def _value(text: str) -> str:
    if not text.isprintable():
        refuse("it has characters that end a line of a properties file", "remove them")
    return text


PropertyKey = Annotated[str, AfterValidator(_key)]
PropertyValue = Annotated[str, AfterValidator(_value)]
ClassName = Annotated[str, AfterValidator(_class)]
Argument = Annotated[str, Field(min_length=1)]


class SparkPod(Settings):
    """CPU, memory and place of the driver, or of each executor."""

    cores: Annotated[Whole, Field(ge=1, le=64)] = 1
    """Whole cores that it may use; an executor runs so many tasks at a time."""
    cpu_request_millicores: Annotated[Whole | None, Field(ge=10, le=64_000)] = None
    """CPU set aside, in thousandths of a core; default: all its cores."""
    memory_mib: Annotated[Whole, Field(ge=512, le=4_194_304)] = 1536
    """Memory of the pod, in MiB, set aside and not to be exceeded: Java's heap and
    `memory_overhead_mib`."""
    memory_overhead_mib: Annotated[Whole, Field(ge=256, le=1_048_576)] = 512
    """The part of `memory_mib` that is not Java's heap: Java's own memory and Python's
    processes."""
    scratch_mib: Annotated[Whole, Field(ge=256, le=1_048_576)] = 4096
    """Size of /tmp, in MiB, where Spark writes what it shuffles and spills."""
    pool: DnsLabel | None = None
    """Node pool of the cluster stack that it runs on; default: any."""

    @property
    def heap_mib(self) -> int:
        """Java's heap, in MiB."""
        return self.memory_mib - self.memory_overhead_mib

    @property
    def request_millicores(self) -> int:
        """CPU set aside, in thousandths of a core."""
        return self.cpu_request_millicores or self.cores * 1000


class Executors(SparkPod):
    """The executors, each a pod that the driver makes."""

    instances: Annotated[Whole, Field(ge=1, le=1000)] = 2
    """Executors at the start, and the least of them."""
    max_instances: Annotated[Whole | None, Field(ge=1, le=1000)] = None
    """The most of them: Spark makes more while tasks wait, and ends idle ones. Default:
    as many as at the start."""

    @property
    def most(self) -> int:
        """The most executors that there may be at one time."""
        return self.max_instances or self.instances


class SparkJobFields(Settings):
    """A Spark application: its driver is the pod of a Job, in client mode."""

    image: ImageReference
    """Image of driver and executors: `spark`, or one that starts from it."""
    main: Annotated[str, AfterValidator(_main)]
    """The program in the image: a Python file, or a jar."""
    main_class: ClassName | None = None
    """Class of the jar whose main method is called."""
    arguments: tuple[Argument, ...] = ()
    """Arguments of the program."""
    driver: SparkPod = SparkPod()
    """The driver."""
    executors: Executors = Executors()
    """The executors."""
    storage: Claim | None = None
    """What the program reads and writes: a claim, mounted at /storage in driver and
    executors. The program gets the folder as SLIPWAY_STORAGE. A bucket needs an image
    with hadoop-aws."""
    data: Data | None = None
    """What else it reads: an image, mounted read-only at /data, or a bucket. The
    program gets the place as SLIPWAY_DATA."""
    event_log: Claim | None = None
    """Where Spark writes what happened in each run, for the history server. A bucket
    needs an image with hadoop-aws."""
    history_server: bool = False
    """Whether a history server shows the event log, at port 18080 of a pod that
    only `kubectl port-forward` can reach."""
    decommission_seconds: Annotated[
        Whole | None, Field(ge=LEAST_GRACE_SECONDS, le=MOST_GRACE_SECONDS)
    ] = None
    """Time that an executor has to end its tasks and to hand over its blocks before its
    node goes, at most the notice of a spot instance; default: none, and what it had is
    computed again."""
    retries: Annotated[Whole, Field(ge=0, le=100)] = 0
    """Times that the driver is started again after a failure, each time from the
    beginning. A driver that an eviction or a lost node takes does not count."""
    deadline_seconds: Annotated[Whole, Field(ge=60, le=31_536_000)] = 86_400
    """Longest time of a run, retries and waiting for nodes among it."""
    keep_seconds: Annotated[Whole, Field(ge=60, le=31_536_000)] = 604_800
    """How long a finished run and its driver's log are kept."""
    schedule: Schedule | None = None
    """When runs start by themselves: five fields of cron in UTC, for example
    "15 2 * * *". A scheduled run is skipped if the previous one is still in
    progress."""
    properties: dict[PropertyKey, PropertyValue] = Field(
        default={}, validate_default=True
    )
    """Properties of Spark in addition to those that the other settings set; each value
    is text."""
    environment: dict[VariableName, VariableValue] = Field(
        default={}, validate_default=True
    )
    """Variables of driver and executors; each value is text."""
    accept_plain_text: tuple[VariableName, ...] = ()
    """Variables of `environment` whose values look like secrets and are none."""
    egress: tuple[Egress, ...] = ()
    """Whom driver and executors may call in addition to each other, the cluster's DNS,
    the API server (the driver) and, with a bucket, HTTPS."""
    node_selector: dict[LabelKey, NodeValue] = Field(default={}, validate_default=True)
    """Labels that a node must have to take a pod of the job."""
    tolerations: tuple[Taint, ...] = ()
    """Taints of your own that a node may have and still take one."""
    service_account: ServiceAccount = ServiceAccount()
    """Who driver and executors are to their cloud."""

    @property
    def digest(self) -> str:
        """Tells these settings from others, whatever else can be set."""
        said = self.model_dump_json(exclude_defaults=True)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    @property
    def claims(self) -> dict[str, Claim]:
        """The places by the setting that names them."""
        given = {"storage": self.storage, "event_log": self.event_log}
        return {name: place for name, place in given.items() if place}

    @property
    def uses_buckets(self) -> bool:
        """Whether driver and executors read or write a bucket."""
        places = (*self.claims.values(), self.data)
        return any(place and place.bucket for place in places)

    def other_names(self, name: str) -> tuple[str, ...]:
        """Names that objects of the job have beside its own."""
        history = (f"{name}-history",) if self.history_server else ()
        return (f"{name}-executor", *history)

    @property
    def pods(self) -> dict[str, SparkPod]:
        """Driver and executors by their settings."""
        return {"driver": self.driver, "executors": self.executors}
