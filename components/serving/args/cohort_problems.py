"""Check for rollout gates that could never decide: no monitor, no labels, no time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.delivery import cohort_file
from components.delivery.cohort_gates import PairsGate
from components.delivery.settings import RolloutSettings
from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings
from components.serving.args.model_server_args import ModelServerArgs
from components.settings import ABSENT, Problem

SHADOW = "shadow"
"""Arm of copies in the prediction log."""


def intervals(models: Mapping[str, ModelServerArgs], model: str) -> Any:
    """Return the monitor's interval counts of a model; None if it needs none.

    Pairs are counted if any server's rollout needs them.
    """
    wanted = [
        found
        for name, args in models.items()
        if args.rollout and args.served(name) == model
        if (found := cohort_file.intervals(args.rollout))
    ]
    pairs = [it for it in wanted if "pairs" in it]
    return wanted[0] | ({"pairs": True} if pairs else {}) if wanted else None


def problems(
    models: Mapping[str, ModelServerArgs],
    watched: list[Watched],
    monitor: MonitorSettings,
) -> Iterator[Problem]:
    """Report the problems of all models with a rollout."""
    known = {one.model: one for one in watched}
    for name, args in models.items():
        rollout = args.rollout
        if not rollout or not rollout.gates.cohorts:
            continue
        path = f"models.{name}.rollout"
        yield from _without_copies(path, rollout)
        yield from _of_arms(f"models.{name}", args, rollout)
        one = known.get(args.served(name))
        if one is None:
            yield from _unwatched(path, rollout)
            continue
        yield from _of_task(path, rollout, one)
        yield from _of_groups(path, rollout, one)
        yield from _of_labels(path, rollout, monitor)
        yield from _too_short(path, rollout)
        yield from _too_old(path, rollout, monitor)
        if _without_pairs(cohort_file.intervals(rollout)) != _without_pairs(
            one.intervals
        ):
            yield Problem(
                f"{path}.cohorts",
                rollout.cohorts.interval_seconds,
                f"the rollout of another server of the model {one.model} is counted by "
                "other intervals or groups",
                "give both the same cohorts, groups and deadline_hours",
            )


def _without_pairs(counted: Mapping[str, Any] | None) -> dict[str, Any]:
    """Other servers' gates do not depend on whether pairs are counted."""
    return {name: it for name, it in (counted or {}).items() if name != "pairs"}


def _without_copies(path: str, rollout: RolloutSettings) -> Iterator[Problem]:
    if rollout.gates.pairs and not rollout.shadow:
        yield Problem(
            f"{path}.gates.pairs",
            rollout.gates.pairs.given,
            "it compares copies with their originals, and without shadow nothing is "
            "copied",
            "set shadow, or remove pairs",
        )


def _of_arms(
    path: str, args: ModelServerArgs, rollout: RolloutSettings
) -> Iterator[Problem]:
    """Report revisions all of whose requests are logged as copies."""
    for revision in (rollout.from_, rollout.to):
        own = args.revisions.get(revision)
        if own and (own.arm or args.arm) == SHADOW:
            yield Problem(
                f"{path}.revisions.{revision}.arm" if own.arm else f"{path}.arm",
                SHADOW,
                "all requests of the revision are logged as copies, which the gates "
                f"of {', '.join(rollout.gates.cohorts)} do not count as requests; in a "
                "shadow step the copies are known without it",
                "remove it, or give stable or canary",
            )


def _unwatched(path: str, rollout: RolloutSettings) -> Iterator[Problem]:
    for gate in rollout.gates.cohorts:
        yield Problem(
            f"{path}.gates.{gate}",
            "(given)",
            "the model monitor counts predictions and labels, and the model has no "
            "monitor",
            "set monitor and prediction_log.sink of the model, or remove the gate",
        )


def _of_task(path: str, rollout: RolloutSettings, one: Watched) -> Iterator[Problem]:
    gates, task = rollout.gates, one.settings.task
    if gates.quality:
        metrics = {"binary": ("accuracy", "recall", "precision")}
        allowed = metrics.get(task, ("accuracy",) if task == "multiclass" else ())
        if gates.quality.metric not in allowed:
            yield Problem(
                f"{path}.gates.quality.metric",
                gates.quality.metric,
                f"nothing is right or wrong by it in a model with task: {task}",
                f"give one of {', '.join(allowed)}" if allowed else "remove quality",
            )
    for gate in ("fairness", "scores"):
        if getattr(gates, gate) and task != "binary":
            yield Problem(
                f"{path}.gates.{gate}",
                "(given)",
                f"it is for models with task: binary, not {task}",
                f"remove {gate}",
            )
    if gates.pairs:
        yield from _of_pairs(f"{path}.gates.pairs", gates.pairs, task)


def _of_pairs(path: str, pairs: PairsGate, task: str) -> Iterator[Problem]:
    for name in pairs.given:
        allowed = ("binary",) if name == "scores" else ("binary", "multiclass")
        if task not in allowed:
            yield Problem(
                f"{path}.{name}",
                "(given)",
                f"it is for models with task: {' or '.join(allowed)}, not {task}",
                f"remove {name}",
            )


def _of_groups(path: str, rollout: RolloutSettings, one: Watched) -> Iterator[Problem]:
    fairness, watched = rollout.gates.fairness, one.settings.fairness
    known = watched.attributes if watched else ()
    if fairness and fairness.attribute not in known:
        yield Problem(
            f"{path}.gates.fairness.attribute",
            fairness.attribute,
            "the monitor does not read it; monitor.fairness.attributes has: "
            f"{', '.join(known) or 'none'}",
            "add it there, or name one of them",
        )


def _of_labels(
    path: str, rollout: RolloutSettings, monitor: MonitorSettings
) -> Iterator[Problem]:
    by_labels = rollout.gates.by_labels
    if by_labels and rollout.cohorts.labels_within_hours is None:
        yield Problem(
            f"{path}.cohorts.labels_within_hours",
            ABSENT,
            f"gates.{by_labels[0]} needs labels, and nothing says when they are there",
            "give the hours after which nearly all labels have come",
        )
    for gate in by_labels if not monitor.labels_secret else ():
        yield Problem(
            f"{path}.gates.{gate}",
            "(given)",
            "it needs labels, and without monitor.labels_secret the monitor takes none",
            "set monitor.labels_secret, or remove the gate",
        )


def _too_short(path: str, rollout: RolloutSettings) -> Iterator[Problem]:
    """Report a deadline that even an equal revision could not meet."""
    interval = rollout.cohorts.interval_seconds / 3600
    gates, labels = rollout.gates, rollout.cohorts.labels_within_hours or 0
    by_labels = [it.partition(".")[0] for it in gates.by_labels]
    counted = [it for it in gates.cohorts if it != "pairs"]
    steps = [labels if {*counted} & {*by_labels} else 0] * len(rollout.steps)
    waits = steps if counted else []
    if gates.pairs:
        waits = [labels if "pairs" in by_labels else 0, *waits]
    shipped = rollout.cohorts.counted_within_seconds / 3600
    needed = sum(
        (rollout.min_intervals + 1) * interval + max(it, shipped) for it in waits
    )
    if needed > rollout.deadline_hours:
        yield Problem(
            f"{path}.deadline_hours",
            rollout.deadline_hours,
            f"{len(waits)} steps of {rollout.min_intervals} cohorts of "
            f"{interval:g} hours, whose labels take {max(waits):g} hours, need "
            f"{needed:.0f}",
            f"give at least {needed + 0.5:.0f}, fewer steps, or a shorter "
            "cohorts.interval_seconds",
        )


def _too_old(
    path: str, rollout: RolloutSettings, monitor: MonitorSettings
) -> Iterator[Problem]:
    hours = monitor.retention_days * 24
    if rollout.deadline_hours > hours:
        yield Problem(
            f"{path}.deadline_hours",
            rollout.deadline_hours,
            f"the monitor keeps predictions for retention_days = "
            f"{monitor.retention_days}, which is {hours} hours",
            f"give at most {hours}, or raise monitor.retention_days",
        )
