"""Names in EMR Serverless's API that several commands need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SERVICE = "emr-serverless"
"""boto3's name for it."""
APPLICATION = "aws:emrserverless/application:Application"
"""The type of an application in the engine's state."""
ACTIVE = ("SUBMITTED", "PENDING", "SCHEDULED", "QUEUED", "RUNNING", "CANCELLING")
"""States of a run that has not ended."""
Run = Mapping[str, Any]
"""A run as the API returns it: `JobRun` of GetJobRun, or `JobRunSummary`."""


def identifier(run: Run) -> str:
    """The run's id: GetJobRun and ListJobRuns give it different names."""
    return str(run.get("jobRunId") or run["id"])
