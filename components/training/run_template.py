"""The CronJob with the template of a job's runs; it starts those of a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEVER = "0 0 31 2 *"
"""A day that does not come: the template of a job without a schedule."""
START_LATE_SECONDS = 300
"""So late a scheduled run still starts: an API server may be away for a while."""
RUNS_KEPT = 100
"""By the CronJob; `keep_seconds` deletes them before."""


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
        # Else what was due before the schedule was given starts at once.
        "startingDeadlineSeconds": START_LATE_SECONDS,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": RUNS_KEPT,
        "failedJobsHistoryLimit": RUNS_KEPT,
        "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
    }
