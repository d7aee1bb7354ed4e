"""Alerts on rollouts and on their controller.

Series: images/rollout/rollout/metrics.py. A rollout that has ended by its own gates is
reported for a day, not for as long as the settings name it.
"""

from __future__ import annotations

from collections.abc import Iterator

from components import naming
from components.delivery.settings import DeliverySettings
from components.observability.alert import Alert
from components.observability.alert import rule_file as group_file

DOWN_SECONDS = 120
STOPPED_SECONDS = 300
"""A revision pair or its settings may change in two steps of one deployment."""
DATA_SECONDS = 3600
"""Missing data count as a gap for this long."""
REPORTED_SECONDS = 86_400
TICKS_MISSED = 5
SLACK_SECONDS = 120
"""Time that one tick may take in addition to its interval."""


def stale_seconds(settings: DeliverySettings) -> int:
    """Return the age of the last tick, in seconds, at which ticking has stopped."""
    return TICKS_MISSED * settings.tick_seconds + SLACK_SECONDS


def alerts(namespace: str, settings: DeliverySettings) -> Iterator[Alert]:
    """Return the alerts on the controller and on all its rollouts (label `target`)."""
    yield from _of_controller(namespace, settings)
    yield from _of_rollouts(namespace)


def _of_controller(namespace: str, settings: DeliverySettings) -> Iterator[Alert]:
    where = f'namespace="{namespace}"'
    labels = {"namespace": namespace}
    yield Alert(
        "RolloutControllerDown",
        f'absent(up{{app="{naming.ROLLOUT_CONTROLLER}",{where}}} == 1)',
        "warning",
        f"The rollout controller of {namespace} does not answer",
        "Weights stay as they are: a harmful revision is not taken back.",
        DOWN_SECONDS,
        labels,
    )
    yield Alert(
        "RolloutControllerStale",
        f"time() - min by (target) (rollout_last_tick_timestamp_seconds{{{where}}}) "
        f"> {stale_seconds(settings)}",
        "warning",
        "The rollout of {{ $labels.target }} is not looked at",
        "No tick came to its end for {{ $value | humanizeDuration }}: a harmful "
        "revision is not taken back.",
        DOWN_SECONDS,
        labels,
    )


def _of_rollouts(namespace: str) -> Iterator[Alert]:
    where = f'namespace="{namespace}"'
    labels = {"namespace": namespace}
    yield Alert(
        "RolloutStopped",
        f'max by (target) (rollout_verdict{{{where},verdict="stop"}}) == 1',
        "warning",
        "The rollout of {{ $labels.target }} has stopped at its weights",
        "It continues once a person has resumed it.",
        STOPPED_SECONDS,
        labels,
    )
    ended = f'max by (target) (rollout_phase{{{where},phase="back"}}) == 1'
    since = f"max by (target) (rollout_step_timestamp_seconds{{{where}}})"
    yield Alert(
        "RolloutBack",
        f"(time() - {since} < {REPORTED_SECONDS}) "
        f"and ({ended}) "
        f"unless (max by (target) (rollout_order_stands{{{where}}}) == 1)",
        "warning",
        "The new revision of {{ $labels.target }} was taken back",
        "Its gates found harm, or the deadline was over, "
        "{{ $value | humanizeDuration }} ago.",
        0,
        labels,
    )
    yield Alert(
        "RolloutWaitsForData",
        f"max by (target) (rollout_waits_for_data{{{where}}}) == 1",
        "warning",
        "The rollout of {{ $labels.target }} lacks data",
        "Counts, predictions or labels that its gates need are missing; it holds until "
        "they come or the deadline is over.",
        DATA_SECONDS,
        labels,
    )


def rule_file(namespace: str, settings: DeliverySettings) -> str:
    """Return the alerts as a Prometheus rule file (YAML)."""
    group = f"{namespace}/{naming.ROLLOUT_CONTROLLER}"
    return group_file(group, alerts(namespace, settings), settings.runbooks)
