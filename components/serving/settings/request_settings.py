"""Limits of a replica's requests, and its prediction log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from components.part_settings import image_problems
from components.setting_types import Whole
from components.settings import Problem, Settings, refuse


class Retries(Settings):
    """Retries on another replica if one cannot be reached; never after a response.

    A replica that went while it was working may have made, and logged, a prediction
    that nobody got: the next makes it once more.
    """

    attempts: Annotated[Whole, Field(ge=0, le=5)] = 2
    """Number of retries on other replicas; 0: the caller gets the first error."""
    attempt_seconds: Annotated[Whole, Field(ge=1, le=3600)] | None = None
    """Timeout of each attempt, in seconds. Default: none, because a slower model would
    never answer. Without it, a request to a replica whose node failed waits until
    longest_request_seconds."""

    def contradictions(self) -> Iterator[Problem]:
        """Report a timeout of attempts without retries."""
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
    """Maximum rows of a request."""
    max_batch_rows: Annotated[Whole, Field(ge=1, le=65_536)] = 256
    """Maximum rows of a batch."""
    max_queue_rows: Annotated[Whole, Field(ge=1, le=1_048_576)] = 4096
    """Maximum rows that wait for the model; more are rejected with 503."""
    retries: Retries = Retries()
    """Retries of the gateway when a replica fails."""

    def contradictions(self) -> Iterator[Problem]:
        """Report requests with more rows than the whole queue."""
        if self.max_request_rows > self.max_queue_rows:
            yield Problem(
                "max_request_rows",
                self.max_request_rows,
                f"it is more than max_queue_rows, which is {self.max_queue_rows}: a "
                "full request could never be accepted",
                f"give at most {self.max_queue_rows}, or raise max_queue_rows",
            )


_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*")
SHIPPER_CPU_MILLICORES, SHIPPER_MEMORY_MIB = 5, 24
"""What the sidecar that sends the log requests."""
MONITOR = "monitor"
"""The sink that is the stack's own monitor."""
MONITOR_FILE_MIB = 64
"""Largest file that the monitor takes."""


def _sink(text: str) -> str:
    if text != MONITOR and not _BUCKET.fullmatch(text):
        refuse(
            "not a place that finished files of the log can be sent to",
            f"give {MONITOR}, or s3://bucket/prefix without a slash at the end",
        )
    return text


class PredictionLog(Settings):
    """One record per prediction in files on the pod's own disk, and where they go."""

    enabled: bool = True
    """Whether predictions are logged."""
    total_mib: Annotated[Whole, Field(ge=2, le=1_048_576)] = 256
    """Size of all files of a replica, in MiB; beyond it, the oldest are deleted."""
    file_mib: Annotated[Whole, Field(ge=1, le=16_384)] = 16
    """Size at which a file is finished, in MiB."""
    file_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = 60
    """Age at which a file is finished, in seconds."""
    sink: Annotated[str, AfterValidator(_sink)] | None = None
    """Destination to which a sidecar sends finished files: `monitor`, the stack's model
    monitor, or s3://bucket/prefix (the pods' role needs `prediction_logs: write`, and
    that of the service account model-monitor `prediction_logs: read`). Without it, the
    records are lost with the pod."""
    shipper: str = "log-shipper"
    """Image of that sidecar. A short name of images.lock, or by digest."""

    @property
    def is_shipped(self) -> bool:
        """Whether a sidecar sends the files somewhere."""
        return self.enabled and self.sink is not None

    @property
    def refused_mib(self) -> int:
        """Space for files that the sink rejects permanently."""
        return 2 * self.file_mib if self.is_shipped else 0

    @property
    def folder_mib(self) -> int:
        """The folder, over what the server keeps: a pod with more is evicted.

        Two files are open, of predictions and of protected attributes; one is being
        sent.
        """
        return self.total_mib + 3 * self.file_mib + self.refused_mib

    def contradictions(self) -> Iterator[Problem]:
        """Report files that would be lost at once, and a sink without a log."""
        if self.sink and not self.enabled:
            yield Problem(
                "sink",
                self.sink,
                "with enabled: false there are no files to send",
                "remove sink, or set enabled: true",
            )
        if self.sink == MONITOR and self.file_mib > MONITOR_FILE_MIB:
            yield Problem(
                "file_mib",
                self.file_mib,
                f"the monitor takes files of at most {MONITOR_FILE_MIB} MiB, and a "
                "larger one would be lost",
                f"give at most {MONITOR_FILE_MIB}",
            )
        if self.is_shipped:
            yield from image_problems("shipper", self.shipper)
        if self.file_mib > self.total_mib:
            yield Problem(
                "file_mib",
                self.file_mib,
                f"it is more than total_mib, which is {self.total_mib}: a finished "
                "file would be deleted immediately",
                f"give at most {self.total_mib}, or raise total_mib",
            )
