"""Alerts on what the monitor finds, and on the monitor and the log shippers.

The monitor decides (significance, size, persistence; images/model_monitor) and exports
0 or 1; rules add for how long, how bad, and who reads it. Series:
contracts/monitor_metrics.yaml and contracts/log_shipper_metrics.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components import naming
from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings
from components.observability.alert import Alert
from components.observability.alert import rule_file as group_file

DOWN_SECONDS = 120
BEHIND_SECONDS = 900
"""A finished file that waits longer: records come too late, and disks fill."""
CYCLES_MISSED = 5
SLACK_SECONDS = 300
"""Time that one cycle may take in addition to its interval."""
ARRIVAL_SECONDS = 600
"""Time until a record is counted: file, transfer, cycle, scrape."""
SEEN_WITHIN = "1h"
DAYS_WITHOUT_ATTRIBUTIONS = 3
UNSENT_SECONDS = 1800
"""Time after which a webhook was tried four times."""
LEAST_HOLD_SECONDS = 10


def stale_cycle_seconds(settings: MonitorSettings) -> int:
    """Age at which the results of the last cycle are too old."""
    return CYCLES_MISSED * settings.cycle_seconds + SLACK_SECONDS


def _of_monitor(namespace: str, settings: MonitorSettings) -> Iterator[Alert]:
    where = f'namespace="{namespace}"'
    labels = {"namespace": namespace}
    late = stale_cycle_seconds(settings)
    yield Alert(
        "MonitorDown",
        f'absent(up{{app="{naming.MODEL_MONITOR}",{where}}} == 1)',
        "warning",
        f"The model monitor of {namespace} does not answer",
        "Quality, drift and fairness are not watched; files wait in the model servers.",
        DOWN_SECONDS,
        labels,
    )
    yield Alert(
        "MonitorCycleStale",
        f"time() - max(monitor_cycle_timestamp_seconds{{{where}}}) > {late}",
        "warning",
        f"The model monitor of {namespace} has finished no cycle lately",
        "Last one {{ $value | humanizeDuration }} ago; its results are old.",
        SLACK_SECONDS,
        labels,
    )
    yield Alert(
        "MonitorQuarantinesRecords",
        "sum by (reason) ("
        f"increase(monitor_quarantined_total{{{where}}}[{SEEN_WITHIN}]) or "
        "label_replace(increase("
        f'monitor_files_total{{{where},result="failed"}}[{SEEN_WITHIN}]), '
        '"reason", "failed", "", "")) > 0',
        "warning",
        f"The model monitor of {namespace} cannot read records or labels",
        "{{ $value | humanize }} within an hour ({{ $labels.reason }}); they are kept "
        "in the store's quarantine, or wait in landing/ if reading failed.",
        labels=labels,
    )
    yield Alert(
        "LogShipperBehind",
        f"max by (server) (log_shipper_oldest_waiting_seconds{{{where}}}) "
        f"> {BEHIND_SECONDS}",
        "warning",
        "Prediction logs of {{ $labels.server }} are not sent",
        "The oldest finished file waits {{ $value | humanizeDuration }}; when the "
        "disk's share is used up, the oldest are deleted.",
        labels=labels,
    )
    yield Alert(
        "LogShipperLosesFiles",
        "sum by (server) (increase("
        f"log_shipper_lost_files_total{{{where}}}[{SEEN_WITHIN}]) or increase("
        f'log_shipper_files_total{{{where},result!="sent"}}[{SEEN_WITHIN}])) > 0',
        "warning",
        "Prediction logs of {{ $labels.server }} are lost",
        "{{ $value | humanize }} files within an hour were deleted before they could "
        "be sent, or refused.",
        labels=labels,
    )


def _of_retraining(namespace: str, one: Watched) -> Iterator[Alert]:
    where = f'model="{one.model}",namespace="{namespace}"'
    yield Alert(
        "RetrainingRequestUnsent",
        f"model_retraining_requests_unsent{{{where}}} > 0",
        "warning",
        f"A request to retrain {one.model} has not reached its webhook",
        "{{ $value }} wait; the command `retraining` prints them and the answers.",
        UNSENT_SECONDS,
        {"model": one.model, "namespace": namespace},
    )


def _of_model(
    namespace: str, one: Watched, hold_seconds: int, *, labels_come: bool
) -> Iterator[Alert]:
    where = f'model="{one.model}",namespace="{namespace}"'
    labels = {"model": one.model, "namespace": namespace}
    stale = one.settings.stale_seconds
    servers = "|".join(sorted(one.servers))
    asked = f'model_requests_total{{server=~"{servers}",namespace="{namespace}"}}'

    def found(
        name: str, series: str, severity: str, summary: str, description: str
    ) -> Alert:
        """An alert on a decision of the monitor: 1 where it holds."""
        chosen = f"{series}{{{where}}} == 1"
        return Alert(name, chosen, severity, summary, description, hold_seconds, labels)

    yield Alert(
        "ModelLogStale",
        f"time() - (max(monitor_log_newest_timestamp_seconds{{{where}}}) or "
        f"vector(0)) > {stale} "
        f"and on() sum(increase({asked}[{max(stale, 2 * ARRIVAL_SECONDS)}s])) > 0",
        "warning",
        f"{one.model} is called, and no prediction record arrives",
        "Newest record: {{ $value | humanizeDuration }} ago.",
        ARRIVAL_SECONDS,
        labels,
    )
    yield found(
        "MonitorReferenceMissing",
        "monitor_reference_missing",
        "warning",
        f"The reference of {one.model} cannot be read",
        "Drift and baselines from the reference are not judged.",
    )
    if labels_come and (one.settings.quality or one.settings.fairness):
        yield Alert(
            "ModelLabelCoverageLow",
            f'model_label_coverage_ratio{{{where},window="30d"}} '
            f"< {one.settings.min_coverage:g}",
            "warning",
            f"Too few predictions of {one.model} have labels",
            "Of those whose labels are due, {{ $value | humanizePercentage }} have "
            "one: quality is not judged.",
            hold_seconds,
            labels,
        )
    yield found(
        "ModelQualityLow",
        "model_quality_below_baseline",
        "critical",
        f"{one.model} predicts worse than its baseline",
        "{{ $labels.metric }} of revision {{ $labels.revision }} over "
        "{{ $labels.window }}: its whole interval lies beyond baseline and margin.",
    )
    if one.settings.attributions:
        yield found(
            "ModelAttributionDrift",
            "model_attribution_drift_detected",
            "warning",
            f"Predictions of {one.model} depend on other features than before",
            "The features' order of importance differs from that of the first days of "
            "revision {{ $labels.revision }}, on several days.",
        )
        yield Alert(
            "ModelAttributionsMissing",
            f"model_attribution_days_missing{{{where}}} >= {DAYS_WITHOUT_ATTRIBUTIONS}",
            "warning",
            f"What {one.model} depends on has not been measured lately",
            "{{ $value }} of the last seven days of revision {{ $labels.revision }}.",
            hold_seconds,
            labels,
        )
    yield found(
        "ModelConceptDrift",
        "model_concept_drift_detected",
        "critical",
        f"The errors of {one.model} have changed for good",
        "The sum of deviations of the daily error rate has passed its limit, revision "
        "{{ $labels.revision }}.",
    )
    yield found(
        "ModelDataDrift",
        "model_drift_detected",
        "warning",
        f"Inputs of {one.model} differ from its training data",
        "Feature {{ $labels.feature }}: significant over all features, and large, on "
        "several days. Quality decides whether it matters.",
    )
    yield found(
        "ModelPredictionDrift",
        "model_prediction_drift_detected",
        "warning",
        f"Predictions of {one.model} differ from those on its training data",
        "Seen before labels arrive; revision {{ $labels.revision }}.",
    )
    yield found(
        "ModelDataQualityViolation",
        "model_data_quality_violation",
        "warning",
        f"Inputs of {one.model} break their schema more often than before",
        "Feature {{ $labels.feature }}: {{ $labels.check }}.",
    )
    if one.settings.fairness:
        yield found(
            "ModelFairnessOutsideLimits",
            "model_fairness_outside_limits",
            "warning",
            f"{one.model} treats groups differently beyond the limits",
            "{{ $labels.metric }} by {{ $labels.attribute }}: the whole interval lies "
            "outside.",
        )
    if one.settings.review_by:
        yield found(
            "ModelReviewOverdue",
            "model_review_overdue",
            "warning",
            f"{one.model} is past its review date",
            f"It was to be reviewed or retired by {one.settings.review_by}.",
        )
    if one.settings.approved_revisions:
        yield found(
            "ModelRevisionUnapproved",
            "model_unapproved_revision",
            "critical",
            f"A revision of {one.model} serves requests without approval",
            "Revision {{ $labels.revision }}.",
        )


def alerts(
    namespace: str, settings: MonitorSettings, watched: Sequence[Watched]
) -> list[Alert]:
    """All alerts of one monitor; each has its runbook."""
    hold = max(LEAST_HOLD_SECONDS, 2 * settings.cycle_seconds)
    return [
        *_of_monitor(namespace, settings),
        *(
            alert
            for one in sorted(watched, key=lambda one: one.model)
            for alert in _of_retraining(namespace, one)
            if settings.retraining.webhook_url
        ),
        *(
            alert
            for one in sorted(watched, key=lambda one: one.model)
            for alert in _of_model(
                namespace, one, hold, labels_come=bool(settings.labels_secret)
            )
        ),
    ]


def rule_file(
    namespace: str, settings: MonitorSettings, watched: Sequence[Watched]
) -> str:
    """The alerts as a Prometheus rule file (YAML)."""
    found = alerts(namespace, settings, watched)
    group = f"{namespace}/{naming.MODEL_MONITOR}"
    return group_file(group, found, settings.runbooks)
