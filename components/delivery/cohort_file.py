"""What the controller and the monitor read about gates that compare cohorts."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from components.delivery.cohort_gates import (
    DAY_SECONDS,
    FairnessGate,
    PairedAccuracyGate,
    PairsGate,
    QualityGate,
    ScoresGate,
)
from components.delivery.settings import RolloutSettings

SHIPPED_SECONDS = 300
"""As long as images/rollout waits unless told otherwise (rollout/cohorts.py)."""
WITHOUT_LABELS = ("selection", "scores", "paired_decisions", "paired_scores")


def gates(rollout: RolloutSettings, model: str) -> Iterator[dict[str, Any]]:
    """Return the gates in the form of images/rollout/rollout/settings.py.

    `model`: the model's name in model.yaml, by which the monitor knows it.
    """
    chosen = rollout.gates
    if chosen.quality:
        cohorts = _cohorts(rollout, model, chosen.quality.metric)
        yield _gate("quality", chosen.quality, rollout, cohorts)
    if chosen.fairness:
        yield from _of_groups(chosen.fairness, rollout, model)
    if chosen.scores:
        yield _gate(
            "scores", chosen.scores, rollout, _cohorts(rollout, model, "scores")
        )
    if chosen.pairs:
        yield from _of_pairs(chosen.pairs, rollout, model)


def _of_groups(
    fairness: FairnessGate, rollout: RolloutSettings, model: str
) -> Iterator[dict[str, Any]]:
    for group in fairness.groups:
        cohorts = _cohorts(rollout, model, fairness.rate) | {
            "attribute": fairness.attribute,
            "group": group,
            "least_rows": fairness.min_group_rows,
        }
        name = f"fairness {fairness.attribute}={group}"
        yield _gate(name, fairness, rollout, cohorts)


def _of_pairs(
    pairs: PairsGate, rollout: RolloutSettings, model: str
) -> Iterator[dict[str, Any]]:
    for name in pairs.given:
        gate = getattr(pairs, name)
        cohorts = _cohorts(rollout, model, f"paired_{name}")
        if name == "scores":
            cohorts["above"] = repr(gate.above_points / 100)
        if cohorts["labels_seconds"]:
            # The gate's coverage is that of labels.
            cohorts["min_paired"] = repr(float(pairs.min_paired))
        found = _gate(f"pairs {name}", gate, rollout, cohorts) | {"paired": True}
        if not cohorts["labels_seconds"]:
            found["min_coverage"] = repr(float(pairs.min_paired))
        yield found


def intervals(rollout: RolloutSettings) -> dict[str, Any] | None:
    """Return the model's section `intervals` of the monitor's file, if it needs one."""
    if not rollout.gates.cohorts:
        return None
    fairness = rollout.gates.fairness
    pairs = {"pairs": True} if rollout.gates.pairs else {}
    return pairs | {
        "seconds": rollout.cohorts.interval_seconds,
        # The first and the last day are partial.
        "days": ceil(rollout.deadline_hours * 3600 / DAY_SECONDS) + 1,
        "groups": {fairness.attribute: [*fairness.groups]} if fairness else {},
    }


def _cohorts(rollout: RolloutSettings, model: str, what: str) -> dict[str, Any]:
    hours = rollout.cohorts.labels_within_hours
    needs_labels = what not in WITHOUT_LABELS
    seconds = rollout.cohorts.counted_within_seconds
    # Absent as usual: other settings keep their digest.
    shipped = {} if seconds == SHIPPED_SECONDS else {"shipped_seconds": seconds}
    return shipped | {
        "what": what,
        "model": model,
        "interval_seconds": rollout.cohorts.interval_seconds,
        "labels_seconds": round((hours or 0) * 3600) if needs_labels else 0,
        "attribute": "",
        "group": "",
        "least_rows": 0,
    }


def _gate(
    name: str,
    gate: QualityGate | FairnessGate | ScoresGate | PairedAccuracyGate,
    rollout: RolloutSettings,
    cohorts: dict[str, Any],
) -> dict[str, Any]:
    coverage = rollout.cohorts.min_coverage if cohorts["labels_seconds"] else 0
    return {
        "name": name,
        "tolerate": repr(gate.tolerate_points / 100),
        "rollback_when": getattr(gate, "rollback_when", "any_harm"),
        "paired": False,
        "min_coverage": repr(float(coverage)),
        "counters": {"canary": "", "stable": ""},
        "of_good": False,
        "cohorts": cohorts,
    }
