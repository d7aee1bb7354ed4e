"""Capacity that was bought beforehand: an on-demand reservation or a capacity block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from components.cluster.network.network_settings import Zone
from components.setting_types import Whole
from components.settings import ABSENT, Problem, Settings, refuse

_ID = re.compile(r"cr-[0-9a-f]{8,17}")


def _reservation_id(value: str) -> str:
    if not _ID.fullmatch(value):
        refuse(
            "not a capacity reservation ID",
            "give one like cr-0123456789abcdef0; "
            "`aws ec2 describe-capacity-reservations` lists them",
        )
    return value


ReservationId = Annotated[str, AfterValidator(_reservation_id)]


def now() -> datetime:
    """The time that blocks are compared with."""
    return datetime.now(UTC)


class Reservation(Settings):
    """One reservation; EC2 ties it to a type, a zone and a number of instances."""

    id: ReservationId
    """The reservation's id, cr-...; capacity blocks have one too."""
    kind: Literal["reservation", "capacity_block"] = "reservation"
    """An on-demand capacity reservation, or a capacity block for ML."""
    instances: Annotated[Whole, Field(ge=1, le=10_000)]
    """Number of reserved instances."""
    zone: Zone
    """Its zone, for example eu-central-1a."""
    ends_at: AwareDatetime | None = None
    """When a capacity block ends, with its time zone: 2026-12-24T11:30:00Z. EC2 starts
    to terminate the instances 30 minutes earlier."""
    placement_group: str | None = None
    """The cluster placement group that the reservation was made in, if any; the nodes
    are launched into it."""

    def warning(self) -> str:
        """Warn that nothing can be launched in it any more; empty before its end.

        This is not an error: the day after, everything else must still be changeable.
        """
        if self.ends_at is None or self.ends_at > now():
            return ""
        return (
            f"the capacity block {self.id} ended at {self.ends_at.isoformat()}: its "
            "nodes are gone, and nothing can be launched in it; buy another block and "
            "give its id and end, or remove the pool"
        )

    def contradictions(self) -> Iterator[Problem]:
        """A block without its end, and what only one kind has."""
        if self.kind == "capacity_block":
            if self.ends_at is None:
                yield Problem(
                    "ends_at",
                    ABSENT,
                    "a capacity block ends, and its nodes end with it",
                    "give the EndDate that `aws ec2 describe-capacity-reservations` "
                    "shows, for example 2026-12-24T11:30:00Z",
                )
            if self.placement_group:
                yield Problem(
                    "placement_group",
                    self.placement_group,
                    "a capacity block is already placed in one UltraCluster",
                    "remove it",
                )
        elif self.ends_at is not None:
            yield Problem(
                "ends_at",
                self.ends_at.isoformat(),
                "it applies to capacity blocks only",
                "set kind: capacity_block, or remove it",
            )
