"""What one replica requests and may use at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.setting_types import Whole
from components.settings import Problem, Settings


class Resources(Settings):
    """What one replica requests and may use at most."""

    cpu_request_millicores: Annotated[Whole, Field(ge=10, le=512_000)] = 250
    """CPU request of a replica, in thousandths of a core."""
    cpu_limit_millicores: Annotated[Whole, Field(ge=10, le=512_000)] = 1000
    """CPU limit of a replica; the server runs one thread for each whole core."""
    memory_request_mib: Annotated[Whole, Field(ge=32, le=4_194_304)] = 256
    """Memory request of a replica, in MiB."""
    memory_limit_mib: Annotated[Whole, Field(ge=64, le=4_194_304)] = 512
    """Memory limit of a replica, in MiB; beyond it, the replica is killed."""

    def contradictions(self) -> Iterator[Problem]:
        """Requests over their limits, which the API server would refuse."""
        for request, limit in (
            ("cpu_request_millicores", "cpu_limit_millicores"),
            ("memory_request_mib", "memory_limit_mib"),
        ):
            asked, most = getattr(self, request), getattr(self, limit)
            if asked > most:
                yield Problem(
                    request,
                    asked,
                    f"it is more than {limit}, which is {most}",
                    f"give at most {most}, or raise {limit}",
                )
