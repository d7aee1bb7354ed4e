"""What can be chosen about the shadow step of a rollout."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.setting_types import Decimal, Whole
from components.settings import Settings

Rate = Annotated[Decimal, Field(gt=0, le=10_000_000)]
"""Requests per second."""


class ShadowSettings(Settings):
    """Copies of requests to the new revision before it gets any request itself.

    The gateway throws the answers to copies away. The gates compare both revisions as
    in any other step.
    """

    percent: Annotated[Whole, Field(ge=1, le=100)]
    """Share of the requests that is copied."""
    peak_requests_per_second: Rate
    """What all replicas of the model get together when they get the most."""
    replica_requests_per_second: Rate | None = None
    """What one replica of the new revision can answer; default: its
    `scaling.rate_per_replica`. `slipway bench model` measures it."""
    repeatable: bool = False
    """Whether a request that is answered twice has no more effect than one answered
    once. Asked of models with `egress` only."""
