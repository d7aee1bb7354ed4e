"""How many replicas a model server has, and by which metric they are scaled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.serving.settings.idle_settings import Idle
from components.setting_types import Decimal, Whole
from components.settings import ABSENT, Problem, Settings

_OF_INFLIGHT = ("inflight_per_replica", "rate_per_replica", "fallback_replicas")
"""Settings that mean something with `signal: inflight` alone."""

PerReplica = Annotated[Decimal, Field(ge=0.001, le=1_048_576)]
"""What the autoscaler holds in each replica; Kubernetes counts in thousandths."""


class Scaling(Settings):
    """Number of replicas, the scaling signal, and the limit on evictions."""

    min_replicas: Annotated[Whole, Field(ge=1, le=1000)] = 2
    """Minimum number of replicas."""
    max_replicas: Annotated[Whole, Field(ge=1, le=1000)] = 4
    """Maximum number of replicas."""
    signal: Literal["cpu", "inflight"] = "cpu"
    """Metric of the autoscaler: CPU use, which every cluster has, or requests in
    flight, which reflect how long callers wait and need KEDA (platform.keda)."""
    cpu_percent: Annotated[Whole, Field(ge=5, le=1000)] = 70
    """Target CPU use, in percent of the request, averaged over all replicas."""
    inflight_per_replica: PerReplica | None = None
    """Target number of requests in flight in each replica, with `signal: inflight`;
    `slipway bench model` measures it."""
    rate_per_replica: PerReplica | None = None
    """Additional target of requests per second in each replica, with `signal:
    inflight`. A rate shows the load that fewer replicas would get; requests in flight
    do not. For requests of similar cost; `slipway bench model` measures it."""
    fallback_replicas: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """Minimum number of replicas while the signal is missing, with `signal: inflight`;
    replicas above it stay. Default: min_replicas."""
    scale_down_seconds: Annotated[Whole, Field(ge=0, le=3600)] = 300
    """How long the load must have been low before replicas are removed, in seconds."""
    idle: Idle | None = None
    """Scale to zero when there are no requests; default: never."""
    max_unavailable: Annotated[Whole, Field(ge=1, le=100)] = 1
    """Replicas that evictions, such as a node drain, may remove at the same time."""
    accept_single_replica: bool = False
    """Whether a single replica is accepted, so that each eviction is an outage."""

    def contradictions(self) -> Iterator[Problem]:
        """Report reversed bounds, evictions of all replicas, and two signals."""
        if self.max_replicas < self.min_replicas:
            yield Problem(
                "max_replicas",
                self.max_replicas,
                f"it is less than min_replicas, which is {self.min_replicas}",
                f"give at least {self.min_replicas}, or lower min_replicas",
            )
        yield from self._evictions()
        yield from self._signals()

    def _evictions(self) -> Iterator[Problem]:
        single = self.min_replicas == 1
        if single and not self.accept_single_replica:
            yield Problem(
                "min_replicas",
                self.min_replicas,
                "with one replica each eviction or crash is an outage",
                "give at least 2, or set accept_single_replica: true",
            )
        elif self.max_unavailable >= self.min_replicas and not single:
            yield Problem(
                "max_unavailable",
                self.max_unavailable,
                f"evictions could take all {self.min_replicas} replicas at the same "
                "time",
                f"give at most {self.min_replicas - 1}, or raise min_replicas",
            )
        if single and self.max_unavailable > 1:
            yield Problem(
                "max_unavailable",
                self.max_unavailable,
                "there is only one replica",
                "give 1",
            )

    def _signals(self) -> Iterator[Problem]:
        """Settings of the signal that is not chosen, or none of the one that is."""
        if self.signal == "cpu":
            for name in _OF_INFLIGHT:
                if getattr(self, name) is not None:
                    yield Problem(
                        name,
                        getattr(self, name),
                        "replicas scale by CPU, so this would be ignored",
                        "set signal: inflight, or remove it",
                    )
            return
        if "cpu_percent" in self.model_fields_set:
            yield Problem(
                "cpu_percent",
                self.cpu_percent,
                "replicas scale by requests in flight: two signals would conflict",
                "remove it, or set signal: cpu",
            )
        if self.inflight_per_replica is None:
            yield Problem(
                "inflight_per_replica",
                ABSENT,
                "the number of requests in flight that a replica can handle is not set",
                "measure it with `slipway bench model` and give the result",
            )
        fallback = self.fallback_replicas
        if fallback and not self.min_replicas <= fallback <= self.max_replicas:
            yield Problem(
                "fallback_replicas",
                fallback,
                f"it is not between min_replicas, which is {self.min_replicas}, and "
                f"max_replicas, which is {self.max_replicas}",
                f"give {self.min_replicas} to {self.max_replicas}",
            )
