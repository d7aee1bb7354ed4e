"""Pages of metrics as tests compare them, read by Prometheus' own client."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


def samples(text: str) -> dict[tuple[str, ...], float]:
    """The value of each sample by its name and its labels' values, as named a to z."""
    return {
        (sample.name, *(it for _, it in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each sample of that name."""
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    ]


def kinds(text: str) -> dict[str, str]:
    """The type of each family; each says what it is."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    return {family.name: family.type for family in families}
