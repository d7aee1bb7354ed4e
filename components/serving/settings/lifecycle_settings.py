"""How a replica starts and how it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.setting_types import Whole
from components.settings import Problem, Settings

EXIT_SECONDS = 3
"""What the server takes to write out its log and exit after the drain."""
ENDPOINT_REMOVAL_SECONDS = 3
"""What the gateway may take to learn that a pod leaves: 0.2 s here, seconds on load."""


class Lifecycle(Settings):
    """How a replica starts and how it leaves without losing a request.

    A leaving pod goes through preStop, deregistration (the server still answers and
    asks clients to reconnect), drain (requests in flight are finished) and exit. The
    grace period must cover all of them, or the kubelet kills the pod too early.
    """

    startup_seconds: Annotated[Whole, Field(ge=5, le=7200)] = 120
    """Longest time to load and warm up the model, in seconds."""
    pre_stop_seconds: Annotated[Whole, Field(ge=0, le=600)] = 5
    """Wait before the server gets SIGTERM, in seconds."""
    deregistration_seconds: Annotated[Whole, Field(ge=0, le=600)] = 2
    """How long the server still accepts new requests after SIGTERM, in seconds."""
    drain_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 20
    """How long the server then waits for requests in flight to finish, in seconds."""
    longest_request_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 10
    """Longest request: the gateway's timeout for a whole response, in seconds. Required
    if responses are streamed."""
    stream_idle_seconds: Annotated[Whole, Field(ge=1, le=3600)] | None = None
    """Longest pause in a streamed response, in seconds: before the first chunk, and
    between two chunks. Setting it declares that responses are streamed."""
    grace_seconds: Annotated[Whole, Field(ge=1, le=7200)] = 35
    """Time after which the kubelet kills the pod (terminationGracePeriodSeconds)."""

    @property
    def _limits_request_time(self) -> bool:
        return "longest_request_seconds" in self.model_fields_set

    def contradictions(self) -> Iterator[Problem]:
        """The arithmetic that keeps requests from being cut off."""
        farewell = self.pre_stop_seconds + self.deregistration_seconds
        if farewell < ENDPOINT_REMOVAL_SECONDS:
            yield Problem(
                "pre_stop_seconds",
                self.pre_stop_seconds,
                f"with deregistration_seconds it adds up to {farewell} s, but the "
                f"gateway may take {ENDPOINT_REMOVAL_SECONDS} s to notice that a pod "
                "is terminating",
                f"give at least "
                f"{ENDPOINT_REMOVAL_SECONDS - self.deregistration_seconds}",
            )
        if self.drain_seconds < self.longest_request_seconds:
            yield Problem(
                "drain_seconds",
                self.drain_seconds,
                "a request may take longest_request_seconds = "
                f"{self.longest_request_seconds} s and would be cut off",
                f"give at least {self.longest_request_seconds}, "
                "or lower longest_request_seconds",
            )
        idle, longest = self.stream_idle_seconds, self.longest_request_seconds
        if idle and idle > longest and self._limits_request_time:
            yield Problem(
                "stream_idle_seconds",
                idle,
                f"the gateway ends answers after longest_request_seconds = {longest}: "
                "it would never be reached",
                f"give at most {longest}, or raise longest_request_seconds",
            )
        needed = farewell + self.drain_seconds + EXIT_SECONDS
        if self.grace_seconds < needed:
            yield Problem(
                "grace_seconds",
                self.grace_seconds,
                f"preStop {self.pre_stop_seconds} s, deregistration "
                f"{self.deregistration_seconds} s, drain {self.drain_seconds} s and "
                f"exit {EXIT_SECONDS} s add up to {needed} s; the pod would be killed "
                "first",
                f"give at least {needed}",
            )
