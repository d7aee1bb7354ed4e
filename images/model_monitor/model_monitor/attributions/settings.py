"""What can be chosen about a model's attributions."""

from __future__ import annotations

from dataclasses import dataclass

from model_monitor.config_fields import Fields


@dataclass(frozen=True)
class AttributionSettings:
    """How many rows a day are attributed, and when another order is drift."""

    rows: int = 1000
    """Of the day's sample, at most."""
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
