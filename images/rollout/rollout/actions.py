"""The controller's calls; each write includes the version that it read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.record import Entry
from rollout.status import Status
from rollout.verdict import Outcome


@dataclass(frozen=True)
class WriteStatus:
    """Replaces the status."""

    status: Status
    version: str
    """resourceVersion that it replaces."""
    why: str


@dataclass(frozen=True)
class WriteRoute:
    """Changes the weights or the fencing value."""

    version: str
    """resourceVersion that it replaces."""
    weights: Mapping[str, int] | None = None
    """Percent by revision; None leaves them."""
    fence: str | None = None
    """None: the fencing value is unchanged."""
    mirrors: Mapping[str, int] = field(default_factory=dict)
    """With weights: percent of the requests that are copied, by revision."""


@dataclass(frozen=True)
class WriteEntry:
    """Creates the entry if there is none of its id."""

    entry: Entry = field(hash=False)


@dataclass(frozen=True)
class Refused:
    """The answer to a WriteEntry that the API server did not carry out."""

    reason: str


@dataclass(frozen=True)
class Wait:
    """Do nothing until the next tick."""

    outcome: Outcome


Action = WriteStatus | WriteRoute | WriteEntry | Wait
