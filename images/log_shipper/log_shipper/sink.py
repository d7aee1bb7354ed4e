"""The interface of all sinks, and their two kinds of failure."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from log_shipper.finished_file import FinishedFile


class Refusal(Enum):
    """Why a sink will never take a file: values of the label `result`."""

    CONFLICT = "conflict"
    """The store has other content under this name."""
    TOO_LARGE = "too_large"
    """The sink takes no file of this size."""


class Retry(Enum):
    """Why a file is sent again later: values of the label `reason`."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    TLS = "tls"
    BUSY = "busy"
    """The sink is full, overloaded or starting (429, 503, 507)."""
    UNAUTHORIZED = "unauthorized"
    STATUS = "status"
    """Another answer that confirms nothing."""
    FOLDER = "folder"
    """The folder of the sink cannot be written."""
    FILE = "file"
    """The local file cannot be read, or was still changing."""


class RefusedError(Exception):
    """The sink will never take this file."""

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.refusal = refusal


class UnavailableError(Exception):
    """The sink has not confirmed the file; it may have stored it."""

    def __init__(
        self, retry: Retry, reason: str, retry_after: float | None = None
    ) -> None:
        """retry_after: seconds that the sink asks to wait."""
        super().__init__(reason)
        self.retry = retry
        self.retry_after = retry_after


class Sink(Protocol):
    """A place that stores whole files by name and never overwrites one."""

    def send(self, file: FinishedFile) -> None:
        """Return when the file is stored, now or earlier, with the same content.

        Raises RefusedError, UnavailableError, and FileTroubleError of the local file.
        """
