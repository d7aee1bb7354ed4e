"""Settings of a Spark job, and values derived from them."""

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
"""Container names, and values of the label `spark-role`."""
STORAGE, EVENT_LOG, DATA = "/storage", "/event-log", "/data"
"""Mount paths of the volumes, in driver and executors."""
LEAST_GRACE_SECONDS, MOST_GRACE_SECONDS = 45, 120
"""An executor that was asked to leave took 32 s for its tasks and blocks (2026-11-28,
Spark 4.3.0). EC2 announces the end of a spot instance 120 s before.
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
    """CPU, memory and node pool of the driver, or of each executor."""

    cores: Annotated[Whole, Field(ge=1, le=64)] = 1
    """Number of whole cores; an executor runs as many tasks at a time."""
    cpu_request_millicores: Annotated[Whole | None, Field(ge=10, le=64_000)] = None
    """CPU request, in thousandths of a core; default: all its cores."""
    memory_mib: Annotated[Whole, Field(ge=512, le=4_194_304)] = 1536
    """Memory request and limit of the pod, in MiB: Java's heap and
    `memory_overhead_mib`."""
    memory_overhead_mib: Annotated[Whole, Field(ge=256, le=1_048_576)] = 512
    """Part of `memory_mib` outside Java's heap: Java's own memory and Python's
    processes."""
    scratch_mib: Annotated[Whole, Field(ge=256, le=1_048_576)] = 4096
    """Size of /tmp, in MiB, where Spark writes shuffled and spilled data."""
    pool: DnsLabel | None = None
    """Node pool of the cluster stack to run on; default: any."""

    @property
    def heap_mib(self) -> int:
        """Java's heap, in MiB."""
        return self.memory_mib - self.memory_overhead_mib

    @property
    def request_millicores(self) -> int:
        """CPU request, in thousandths of a core."""
        return self.cpu_request_millicores or self.cores * 1000


class Executors(SparkPod):
    """The executors, each a pod that the driver creates."""

    instances: Annotated[Whole, Field(ge=1, le=1000)] = 2
    """Initial and minimum number of executors."""
    max_instances: Annotated[Whole | None, Field(ge=1, le=1000)] = None
    """Maximum number of executors: Spark adds executors while tasks wait, and ends idle
    ones. Default: the initial number."""

    @property
    def most(self) -> int:
        """Return the maximum number of executors at one time."""
        return self.max_instances or self.instances


class SparkJobFields(Settings):
    """A Spark application: its driver is the pod of a Job, in client mode."""

    image: ImageReference
    """Image of driver and executors: `spark`, or one that is based on it."""
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
    """Storage that the program reads and writes: a claim, mounted at /storage in driver
    and executors. The program gets the folder as SLIPWAY_STORAGE. A bucket needs an
    image with hadoop-aws."""
    data: Data | None = None
    """Additional input: an image, mounted read-only at /data, or a bucket. The program
    gets the place as SLIPWAY_DATA."""
    hdfs: bool = False
    """Whether driver and executors reach the stack's HDFS. The program gets its address
    as SLIPWAY_HDFS."""
    event_log: Claim | None = None
    """Storage to which Spark writes the events of each run, for the history server. A
    bucket needs an image with hadoop-aws."""
    history_server: bool = False
    """Whether a history server shows the event log, at port 18080 of a pod that only
    `kubectl port-forward` can reach."""
    decommission_seconds: Annotated[
        Whole | None, Field(ge=LEAST_GRACE_SECONDS, le=MOST_GRACE_SECONDS)
    ] = None
    """Time for an executor to finish its tasks and to pass on its blocks before its
    node is removed; at most the notice of a spot instance. Default: none, and its
    results are computed again."""
    retries: Annotated[Whole, Field(ge=0, le=100)] = 0
    """Number of driver restarts after failures, each from the beginning. A driver lost
    through an eviction or a lost node does not count."""
    deadline_seconds: Annotated[Whole, Field(ge=60, le=31_536_000)] = 86_400
    """Longest time of a run, including retries and waiting for nodes."""
    keep_seconds: Annotated[Whole, Field(ge=60, le=31_536_000)] = 604_800
    """How long a finished run and its driver's log are kept."""
    schedule: Schedule | None = None
    """When runs start: a cron schedule of five fields in UTC, for example "15 2 * * *".
    A scheduled run is skipped if the previous one is still in progress."""
    properties: dict[PropertyKey, PropertyValue] = Field(
        default={}, validate_default=True
    )
    """Spark properties in addition to those that the other settings control; each value
    is text."""
    environment: dict[VariableName, VariableValue] = Field(
        default={}, validate_default=True
    )
    """Environment variables of driver and executors; each value is text."""
    accept_plain_text: tuple[VariableName, ...] = ()
    """Variables of `environment` whose values look like secrets but are not."""
    egress: tuple[Egress, ...] = ()
    """Destinations that driver and executors may reach besides each other, the
    cluster's DNS, the API server (the driver) and, with a bucket, HTTPS."""
    node_selector: dict[LabelKey, NodeValue] = Field(default={}, validate_default=True)
    """Labels that a node of the job's pods must have."""
    tolerations: tuple[Taint, ...] = ()
    """Taints that the job's pods tolerate."""
    service_account: ServiceAccount = ServiceAccount()
    """The identity of driver and executors in the cloud."""

    @property
    def digest(self) -> str:
        """Return a digest of these settings, including those of subclasses."""
        said = self.model_dump_json(exclude_defaults=True)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    @property
    def claims(self) -> dict[str, Claim]:
        """Return the claims by the setting that names them."""
        given = {"storage": self.storage, "event_log": self.event_log}
        return {name: place for name, place in given.items() if place}

    @property
    def uses_buckets(self) -> bool:
        """Return whether driver and executors read or write a bucket."""
        places = (*self.claims.values(), self.data)
        return any(place and place.bucket for place in places)

    def other_names(self, name: str) -> tuple[str, ...]:
        """Return the names of the job's objects other than its own name."""
        history = (f"{name}-history",) if self.history_server else ()
        return (f"{name}-executor", *history)

    @property
    def pods(self) -> dict[str, SparkPod]:
        """Return the driver's and the executors' settings by name."""
        return {"driver": self.driver, "executors": self.executors}
