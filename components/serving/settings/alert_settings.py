"""When alerts about a model fire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.setting_types import Decimal, Whole
from components.settings import Settings


class Alerts(Settings):
    """When alerts fire; docs/reference/alerts.md lists them."""

    window_seconds: Annotated[Whole, Field(ge=10, le=86_400)] = 300
    """Window of rates and percentiles, in seconds: at least four scrapes
    (`platform.scrape_interval_seconds`)."""
    for_seconds: Annotated[Whole, Field(ge=0, le=86_400)] = 60
    """How long a condition must hold before its alert fires, in seconds."""
    error_percent: Annotated[Decimal, Field(gt=0, lt=100)] = 1.0
    """Share of requests answered with a server's error (5xx), in percent; 100 is never
    exceeded."""
    p99_milliseconds: Annotated[Decimal, Field(gt=0, le=3_600_000)] = 250.0
    """99th percentile of the latency inside the server, in milliseconds."""
    queue_p99_milliseconds: Annotated[Decimal, Field(gt=0, le=3_600_000)] = 100.0
    """99th percentile of the wait for the model, in milliseconds."""
    saturation_percent: Annotated[Whole, Field(ge=1, le=99)] = 90
    """Share of a replica's capacity in use, in percent; 100 is never exceeded."""
    availability_percent: Annotated[Decimal, Field(ge=50, lt=100)] | None = None
    """Share of requests that must not be answered with a server's error, in percent.
    With it, burn-rate alerts watch the error budget over windows of up to three days,
    which Prometheus must keep."""
    quiet_seconds: Annotated[Whole, Field(ge=60, le=604_800)] | None = None
    """Time without any request after which an alert fires, in seconds; default: never.
    Sleeping models are excluded."""
    restarts: Annotated[Whole, Field(ge=1, le=100)] = 3
    """Restarts of one replica within 15 minutes at which an alert fires."""
    runbooks: Annotated[str, Field(min_length=1)] = "docs/runbooks"
    """Where the runbooks can be read; alerts link to <runbooks>/<alert>.md."""
