"""Settings of a model's attributions."""

from __future__ import annotations

from dataclasses import dataclass

from model_monitor.config_fields import Fields


@dataclass(frozen=True)
class AttributionSettings:
    """The daily number of attributed rows, and the threshold of drift."""

    rows: int = 1000
    """Maximum rows of a day's sample."""
    ndcg_floor: float = 0.9
    """NDCG against the first days at which the order counts as the same, however
    significant a difference is."""
    reference_days: int = 7
    """First days of a revision that later ones are compared with."""


def parse(fields: Fields) -> AttributionSettings:
    """Return the settings of a model's section `attributions`."""
    default = AttributionSettings()
    found = AttributionSettings(
        rows=fields.whole("rows", default.rows, 100, 100_000),
        ndcg_floor=fields.number("ndcg_floor", default.ndcg_floor, 0, 1),
        reference_days=fields.whole("reference_days", default.reference_days, 1, 90),
    )
    fields.end()
    return found
