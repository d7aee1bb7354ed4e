"""What is watched of the served model: the monitor's file and the rules of its alerts.

Both are made by the component that makes them for a cluster. Only where things lie on
this machine is changed.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import naming
from components.monitoring import alerts, monitor_file
from components.monitoring.model_settings import ModelMonitoring
from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings
from examples.demo_drift.census import MODEL, Card
from examples.demo_drift.timeline import LABEL_DAYS

CYCLE_SECONDS = 1
MIN_GROUP_ROWS = 500
HOLD_SECONDS = max(alerts.LEAST_HOLD_SECONDS, 2 * CYCLE_SECONDS)
"""How long a model's alert must hold: as rendered, not shortened."""
NAMESPACE = naming.MODELS_NAMESPACE
REVIEW_BY = dt.date(2020, 1, 1)
"""After the simulated days."""

LABELS_SECRET = "model-monitor-labels"  # noqa: S105, a name, as in a cluster
SETTINGS = MonitorSettings(
    cycle_seconds=CYCLE_SECONDS, clock="event", labels_secret=LABELS_SECRET
)


@dataclass(frozen=True)
class Places:
    """Files of one run."""

    store: Path
    reference: Path
    label_token: Path


def watched(card: Card) -> Watched:
    """Return the model's limits: the defaults, with alerts on accuracy and F1."""
    limits = ModelMonitoring(
        label_horizon_days=LABEL_DAYS,
        quality=[{"metric": "accuracy"}, {"metric": "f1"}],
        fairness={"attributes": card.protected, "min_group_rows": MIN_GROUP_ROWS},
        review_by=REVIEW_BY,
        approved_revisions=(card.revision,),
    )
    return Watched(MODEL, "", limits, servers=(MODEL,))


def monitor_text(card: Card, places: Places) -> str:
    """Return the monitor's configuration file, for a process on loopback."""
    content: dict[str, Any] = json.loads(monitor_file.text(SETTINGS, [watched(card)]))
    del content["labels_port"]
    content |= {
        "store": str(places.store),
        "host": "127.0.0.1",
        "port": 0,
        "tokens": {"labels": str(places.label_token)},
    }
    (model,) = content["models"]
    model["reference"] = str(places.reference)
    return json.dumps(content, indent=1)


def rules(card: Card) -> str:
    """Return the alerts as a Prometheus rule file, as a cluster gets it."""
    return alerts.rule_file(NAMESPACE, SETTINGS, [watched(card)])


def names(card: Card) -> list[str]:
    """Return the names of all alerts of the rule file."""
    found = alerts.alerts(NAMESPACE, SETTINGS, [watched(card)])
    return [it.name for it in found]
