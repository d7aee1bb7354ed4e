"""Settings of attributions: for one model, and for the job of all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.setting_types import Decimal, DnsLabel, Whole
from components.settings import Settings


class Attributions(Settings):
    """Tells each day what the model's predictions depend on, and whether that changes.

    The stack needs `monitor.attributions`, the job that measures it.
    """

    rows: Annotated[Whole, Field(ge=100, le=100_000)] = 1000
    """Maximum number of predictions of a day in the sample."""
    ndcg_floor: Annotated[Decimal, Field(gt=0, le=1)] = 0.9
    """Agreement with the order of the features on the first days (NDCG) at which it
    counts as the same, however significant a difference is."""
    reference_days: Annotated[Whole, Field(ge=1, le=90)] = 7
    """First days of a revision, the reference for later ones."""


class AttributionJob(Settings):
    """The job that runs the models on permuted samples, once a day."""

    image: str = "model-attributions"
    """The job. A short name of images.lock, or by digest."""
    token_secret: DnsLabel
    """Secret of the models' namespace whose key `token` authenticates the job to the
    monitor."""
    starts_after_hours: Annotated[Whole, Field(ge=0, le=23)] = 3
    """Hours after midnight UTC at which the job starts."""
    repetitions: Annotated[Whole, Field(ge=2, le=100)] = 5
    """How often each feature is permuted."""
    rows_per_second: Annotated[Whole, Field(ge=100, le=100_000_000)] = 20_000
    """Maximum rate of rows sent to a model."""
    day_seconds: Annotated[Whole, Field(ge=1, le=21_600)] = 600
    """Time limit for one day of one model."""
    cpu_limit_millicores: Annotated[Whole, Field(ge=50, le=64_000)] = 500
    """CPU limit of the job, in thousandths of a core."""
    memory_limit_mib: Annotated[Whole, Field(ge=128, le=262_144)] = 512
    """Memory limit of the job, in MiB: enough for the largest model."""
