"""What a replica takes in, and what it writes down of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.setting_types import Whole
from components.settings import Problem, Settings


class Retries(Settings):
    """Asking another replica when one is not there; its answers are never asked again.

    A replica that went while it was working may have made, and logged, a prediction
    that nobody got: the next makes it once more.
    """

    attempts: Annotated[Whole, Field(ge=0, le=5)] = 2
    """How many more replicas are asked; 0: none, and the caller gets the error."""
    attempt_seconds: Annotated[Whole, Field(ge=1, le=3600)] | None = None
    """Longest wait for one replica's answer, in seconds, before another is asked.
    Default: none, because a model that takes longer would never answer. Without it, a
    request that was under way to a replica whose node died waits for nobody until
    longest_request_seconds ends it."""

    def contradictions(self) -> Iterator[Problem]:
        """A wait for attempts that there are none of."""
        if self.attempt_seconds and not self.attempts:
            yield Problem(
                "attempt_seconds",
                self.attempt_seconds,
                "with attempts = 0, no other replica is tried",
                "give attempts, or remove attempt_seconds",
            )


class Requests(Settings):
    """Bounds on what a replica takes in; beyond them callers get a clear error."""

    max_body_kib: Annotated[Whole, Field(ge=1, le=65_536)] = 1024
    """Largest request body, in KiB."""
    max_request_rows: Annotated[Whole, Field(ge=1, le=65_536)] = 1024
    """Most rows of one request."""
    max_batch_rows: Annotated[Whole, Field(ge=1, le=65_536)] = 256
    """Most rows of one run of the model."""
    max_queue_rows: Annotated[Whole, Field(ge=1, le=1_048_576)] = 4096
    """Most rows that wait for the model; more are refused with 503."""
    retries: Retries = Retries()
    """What the gateway does when a replica is not there."""

    def contradictions(self) -> Iterator[Problem]:
        """A request that no empty queue could take."""
        if self.max_request_rows > self.max_queue_rows:
            yield Problem(
                "max_request_rows",
                self.max_request_rows,
                f"it is more than max_queue_rows, which is {self.max_queue_rows}: a "
                "full request could never be accepted",
                f"give at most {self.max_queue_rows}, or raise max_queue_rows",
            )


class PredictionLog(Settings):
    """One record per prediction in files on the pod's own disk."""

    enabled: bool = True
    """Whether predictions are logged."""
    total_mib: Annotated[Whole, Field(ge=2, le=1_048_576)] = 256
    """Size of all files of a replica, in MiB; the oldest are deleted beyond it."""
    file_mib: Annotated[Whole, Field(ge=1, le=16_384)] = 16
    """Size at which a file is finished, in MiB."""
    file_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = 60
    """Age at which a file is finished, in seconds."""

    def contradictions(self) -> Iterator[Problem]:
        """A file that would be deleted as soon as it is finished."""
        if self.file_mib > self.total_mib:
            yield Problem(
                "file_mib",
                self.file_mib,
                f"it is more than total_mib, which is {self.total_mib}: a finished "
                "file would be deleted immediately",
                f"give at most {self.total_mib}, or raise total_mib",
            )
