"""The monitor's configuration file (images/model_monitor/model_monitor/config.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components import naming
from components.monitoring import retraining
from components.monitoring.model_settings import ModelMonitoring
from components.monitoring.settings import MonitorSettings

STORE = "/var/lib/model-monitor"
MODELS = "/models"
ATTRIBUTIONS_TOKEN = "/etc/model-monitor-attributions/token"  # noqa: S105, the same
LABELS_TOKEN = "/etc/model-monitor-labels/token"  # noqa: S105, where it lies
COUNTING_SHARE = 3
"""Part of the pod's memory that the counting engine may take: one in so many. What
needs more is written to disk."""


RENAMED = {
    "drift": {"needed_days": "needed", "of_days": "of"},
    "fairness": {"min_group_rows": "min_group"},
}
"""The monitor's names for settings that have a unit in ours."""


@dataclass(frozen=True)
class Watched:
    """A model by the name that its records have, whatever serves it."""

    model: str
    image: str
    """Reference of the image with its folder, by digest."""
    settings: ModelMonitoring
    servers: tuple[str, ...] = ()
    """Model servers that send records of it."""
    buckets: tuple[str, ...] = ()
    """s3://bucket/prefix of those that send them there."""
    intervals: Mapping[str, Any] | None = None
    """Interval counts for a rollout's gates (components/delivery)."""
    experiments: tuple[str, ...] = ()
    """Servers with an experiment, whose reports are renewed."""


def folder(model: str) -> str:
    """Return the mount path of the model's folder."""
    return f"{MODELS}/{model}"


def _model(one: Watched) -> dict[str, Any]:
    settings = one.settings
    found: dict[str, Any] = {
        "name": one.model,
        "reference": f"{folder(one.model)}/reference.json",
        **settings.model_dump(mode="json", exclude_none=True, exclude={"high_risk"}),
    }
    if one.intervals:
        found["intervals"] = dict(one.intervals)
    if not settings.approved_revisions:
        del found["approved_revisions"]
    for part, names in RENAMED.items():
        for ours, theirs in names.items():
            if part in found:
                found[part][theirs] = found[part].pop(ours)
    return found


def buckets(watched: Sequence[Watched]) -> list[str]:
    """Return the prefixes where the monitor reads records, each once."""
    return sorted({place for one in watched for place in one.buckets})


def experiments(watched: Sequence[Watched]) -> list[str]:
    """Servers whose experiments are reported."""
    return sorted({server for one in watched for server in one.experiments})


def text(settings: MonitorSettings, watched: Sequence[Watched]) -> str:
    """The file: JSON, the same text for the same settings."""
    content: dict[str, Any] = {
        "store": STORE,
        "port": naming.MODEL_MONITOR_PORT,
        "labels_port": naming.MODEL_MONITOR_LABELS_PORT,
        "cycle_seconds": settings.cycle_seconds,
        "clock": settings.clock,
        "retention": {
            "raw_days": settings.retention_days,
            "figures_days": settings.counts_retention_days,
        },
        "retraining": retraining.in_file(settings.retraining),
        "memory_mib": settings.memory_limit_mib // COUNTING_SHARE,
        # Without labels_secret there is no such file, and no label is taken.
        "tokens": {
            "labels": LABELS_TOKEN,
            **({"attributions": ATTRIBUTIONS_TOKEN} if settings.attributions else {}),
        },
        "models": [_model(one) for one in sorted(watched, key=lambda one: one.model)],
    }
    if places := buckets(watched):
        content["buckets"] = places
    if servers := experiments(watched):
        address = f"{naming.ROLLOUT_CONTROLLER}:{naming.ROLLOUT_CONTROLLER_PORT}"
        content["experiments"] = {
            "controller_url": f"http://{address}",
            "servers": servers,
        }
    return json.dumps(content, indent=1, sort_keys=True)
