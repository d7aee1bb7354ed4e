"""Settings of a stack's model monitor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.monitoring.attribution_settings import AttributionJob
from components.monitoring.retraining import Retraining
from components.observability.settings import Storage
from components.part_settings import NodePort, image_problems
from components.setting_types import DnsLabel, Whole
from components.settings import Problem, Settings, refuse

_HOST_NAME = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


def _host_name(value: str) -> str:
    if len(value) > 253 or not _HOST_NAME.fullmatch(value):
        refuse(
            "it is not a host name with a dot, in lower case",
            "give a name such as console.example.com, without scheme and port",
        )
    return value


HostName = Annotated[str, AfterValidator(_host_name)]


class ConsoleSettings(Settings):
    """Read-only web pages of metrics, alerts, rollouts and the audit trail.

    They require no password: anyone who can reach the port may read them.
    """

    image: str = "model-console"
    """The console. A short name of images.lock, or by digest."""
    alerts: bool = True
    """Shows the alerts of the platform's Alertmanager; false if there is none."""
    node_port: NodePort = None
    """Port on every node, open to everyone who can reach a node."""
    hosts: Annotated[tuple[HostName, ...], Field(max_length=20)] = ()
    """Accepted host names, such as a proxy's. Addresses, names without a dot and names
    of Services are always accepted; all others are rejected."""
    callers: Annotated[tuple[DnsLabel, ...], Field(max_length=20)] = ()
    """Namespaces whose pods may open the pages, such as that of an authenticating
    proxy. Without it and node_port: `kubectl port-forward`."""


class MonitorSettings(Settings):
    """The program that watches the models; made if any model has `monitor`."""

    image: str = "model-monitor"
    """The monitor. A short name of images.lock, or by digest."""
    cycle_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = 60
    """Interval at which new files are read and results computed."""
    clock: Literal["wall", "event"] = "wall"
    """What "now" is: the wall clock, or the newest prediction, for replays."""
    retention_days: Annotated[Whole, Field(ge=1, le=3650)] = 190
    """How long predictions and labels are kept. The default is at least six months,
    which models with `monitor.high_risk` need."""
    counts_retention_days: Annotated[Whole, Field(ge=1, le=3650)] = 400
    """How long counts and results are kept, which contain no personal data."""
    labels_secret: DnsLabel | None = None
    """Secret of the models' namespace whose key `token` authorizes POST /v1/labels.
    Without it, no labels are accepted."""
    storage: Storage | None = None
    """Volume of the store. Without it, all data is lost with the pod."""
    node_port: NodePort = None
    """Port on every node, for labels from outside of the cluster."""
    console: ConsoleSettings | None = None
    """Web pages of the monitor's results. Default: none; `{}` for the default
    settings."""
    memory_limit_mib: Annotated[Whole, Field(ge=192, le=65_536)] = 768
    """Memory of the monitor, in MiB."""
    attributions: AttributionJob | None = None
    """The job for models with `monitor.attributions`."""
    retraining: Retraining = Field(default={}, validate_default=True)
    """Where requests to retrain a model go."""
    runbooks: Annotated[str, Field(min_length=1)] = "docs/runbooks"
    """Where the runbooks can be read; alerts link to <runbooks>/<alert>.md."""

    def contradictions(self) -> Iterator[Problem]:
        """Report counts that are kept for less time than their records."""
        if self.counts_retention_days < self.retention_days:
            yield Problem(
                "counts_retention_days",
                self.counts_retention_days,
                "it is less than retention_days, which is "
                f"{self.retention_days}: counts would be computed again and again",
                f"give at least {self.retention_days}",
            )
        if self.node_port and not self.labels_secret:
            yield Problem(
                "node_port",
                self.node_port,
                "without labels_secret the monitor takes no labels from callers",
                "set labels_secret, or remove node_port",
            )


def image_problem(settings: MonitorSettings) -> Iterator[Problem]:
    """Report images that cannot be resolved, if a model has `monitor`."""
    yield from image_problems("monitor.image", settings.image)
    if settings.console:
        yield from image_problems("monitor.console.image", settings.console.image)
