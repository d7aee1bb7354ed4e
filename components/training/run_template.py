"""The CronJob with the template of a job's runs; it also starts scheduled runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEVER = "0 0 31 2 *"
"""A date that never occurs: the template of a job without a schedule."""
START_LATE_SECONDS = 300
"""Maximum delay of a scheduled run: an API server may be unavailable for a while."""
RUNS_KEPT = 100
"""Limit of the CronJob; `keep_seconds` deletes runs earlier."""


def cron_job_spec(
    schedule: str | None, labels: Mapping[str, str], job: Mapping[str, Any]
) -> dict[str, Any]:
    """Spec of the CronJob: suspended without a schedule.

    `labels` and `job` are the metadata and the spec of each run's Job.
    """
    return {
        "schedule": schedule or NEVER,
        "timeZone": "Etc/UTC",
        "suspend": schedule is None,
        # Otherwise runs that were due before the schedule was set start immediately.
        "startingDeadlineSeconds": START_LATE_SECONDS,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": RUNS_KEPT,
        "failedJobsHistoryLimit": RUNS_KEPT,
        "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
    }
