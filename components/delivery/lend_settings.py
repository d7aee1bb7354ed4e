"""What can be chosen about replicas that one revision lends to another."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.delivery.shadow_settings import Rate
from components.setting_types import Whole
from components.settings import Settings


class LendSettings(Settings):
    """Replicas of the old revision that the new one has for the time of the rollout.

    The old revision has that many fewer than its `scaling.min_replicas`, the new one
    has these, and no autoscaler changes either number meanwhile.
    """

    replicas: Annotated[Whole, Field(ge=1, le=999)]
    """How many. Begin with 1 and raise it from step to step. With more, the old
    revision's replicas can no longer sustain the peak: when the new one is taken back,
    lower it and run `slipway up` at once."""
    peak_requests_per_second: Rate
    """What all replicas of the model get together when they get the most."""
    replica_requests_per_second: Rate | None = None
    """What one replica can answer; default: the old revision's
    `scaling.rate_per_replica`. `slipway bench model` measures it."""
