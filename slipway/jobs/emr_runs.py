"""Runs of jobs of EMR Serverless, by its API: started, listed, looked at, cancelled.

A run is not a Pulumi resource. The application and the jobs' roles are those of the
engine's state; what a run is given is in the stack's file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.cluster.iam import names
from components.cluster.iam.arns import Arns
from components.cluster.storage import storage_names
from components.training import emr_parameters, emr_policies
from components.training.emr_settings import EmrArgs
from components.training.settings import JobsSettings
from slipway.account import AwsCall, CannotAskError, Client, session_clients
from slipway.emr_api import ACTIVE, APPLICATION, SERVICE, Run, identifier
from slipway.engine import sessions
from slipway.jobs.runs import RunError
from slipway.jobs.state import DEADLINE, State

ROLE = "aws:iam/role:Role"
SUCCESS, FAILED, CANCELLED = "SUCCESS", "FAILED", "CANCELLED"
WORDS = {
    "SUBMITTED": "starting: submitted",
    "PENDING": "starting: it waits for the application",
    "SCHEDULED": "starting: it waits for its driver",
    "QUEUED": "waiting: the application has as many runs as it may",
    "RUNNING": "running",
    "CANCELLING": "stopping",
    SUCCESS: "succeeded",
    FAILED: "failed",
    CANCELLED: "stopped",
}
"""https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/job-states.html"""
MOST_LISTED = 200
"""Runs that a listing shows, the newest: AWS keeps them for months."""


def is_emr(run: str) -> bool:
    """Whether it is the id of such a run: a pod's name has a dash, an id has none."""
    return "-" not in run


def state(run: Run) -> State:
    """The state of a run of GetJobRun, with the exit status of one that has ended.

    EMR Serverless does not report the program's own status: 1 means any failure.
    """
    said, word = run["state"], WORDS.get(run["state"], str(run["state"]).lower())
    details = tuple(filter(None, (run.get("stateDetails"),)))
    if said == SUCCESS:
        return State(word, exit_status=0)
    if said == FAILED:
        return State(word, details, 1)
    if said == CANCELLED:
        limit = (run.get("executionTimeoutMinutes") or 0) * 60
        if limit and (run.get("totalExecutionDurationSeconds") or 0) >= limit:
            return State("failed: it took longer than its deadline", details, DEADLINE)
        return State(word, details, 1)
    return State(word, details)


@dataclass(frozen=True)
class EmrRuns:
    """Runs of the jobs of one stack."""

    client: Client
    """boto3's, of EMR Serverless."""
    application: str
    """Its id."""
    roles: frozenset[str]
    """Names of the roles that the stack has made."""
    emr: EmrArgs
    """The application's settings."""
    arns: Arns
    """Of its account and region."""

    def start(self, job: str) -> str:
        """Starts a run; its id. RunError if the job's role is not there yet."""
        emr = self.emr
        if names.emr_role(emr.name, job) not in self.roles:
            raise RunError(f"{job} has no role yet: run `slipway up` first")
        asked = emr_parameters.run(emr, job, emr.jobs[job], self.arns)
        answer = self._call("start_job_run", **asked)
        return str(answer["jobRunId"])

    def all(self, *states: str) -> list[Run]:
        """Runs in one of these states, or all; the newest last."""
        asked: dict[str, Any] = {"states": list(states)} if states else {}
        found: list[Run] = []
        with _readable("list_job_runs"):
            pages = self.client.get_paginator("list_job_runs").paginate(
                applicationId=self.application, **asked
            )
            # The newest come first.
            for page in pages:
                found += page["jobRuns"]
                if len(found) >= MOST_LISTED:
                    break
        return sorted(found, key=_made)

    def active(self, job: str) -> list[Run]:
        """Runs of the job that have not ended; the oldest first."""
        return [run for run in self.all(*ACTIVE) if run.get("name") == job]

    def rivals(self, job: str, run: str) -> list[Run]:
        """Active runs of the job that are as old as this one or older."""
        found = {identifier(one): one for one in self.active(job)}
        ours = found.pop(run, None)
        return [one for one in found.values() if ours and _made(one) <= _made(ours)]

    def get(self, run: str) -> Run:
        """A run; RunError if the application has no such run."""
        found: Run = self._call("get_job_run", jobRunId=run)["jobRun"]
        return found

    def cancel(self, run: str) -> None:
        """Ends a run; RunError if there is none, or if it has ended."""
        if self.get(run)["state"] not in ACTIVE:
            raise RunError(f"{run} has ended already")
        self._call("cancel_job_run", jobRunId=run)

    def logs(self, run: str) -> str:
        """Where the run's logs are."""
        bucket = storage_names.emr_log_bucket(self.emr.name, self.arns)
        return f"s3://{bucket}/{emr_policies.LOGS}/{self.application}/jobs/{run}/"

    def _call(self, call: str, **parameters: Any) -> dict[str, Any]:
        with _readable(call):
            method = getattr(self.client, call)
            answer: dict[str, Any] = method(
                applicationId=self.application, **parameters
            )
            return answer


@contextmanager
def _readable(call: str) -> Iterator[None]:
    """Turn errors of AWS into RunError."""
    try:
        with AwsCall(SERVICE, call):
            yield
    except CannotAskError as error:
        raise RunError(str(error)) from None


def _made(run: Run) -> datetime:
    found: datetime = run["createdAt"]
    return found


def opened(
    stack: str,
    settings: JobsSettings,
    clients: Callable[[str], Callable[[str], Client]] = session_clients,
) -> EmrRuns:
    """Runs of the stack's application; RunError if the stack has not made it yet."""
    resources = sessions.resources(stack)
    found = [one for one in resources if one["type"] == APPLICATION and one.get("id")]
    if not found:
        raise RunError(
            f"{stack} has no application of EMR Serverless yet: slipway up {stack}"
        )
    roles = [(one.get("outputs") or {}) for one in resources if one["type"] == ROLE]
    account, emr = settings.account, settings.emr
    assert account, "the settings ask for it"
    assert emr, "the caller asks for it"
    return EmrRuns(
        clients(account.region)(SERVICE),
        str(found[-1]["id"]),
        frozenset(str(role.get("name")) for role in roles),
        emr,
        Arns(account.id, account.region),
    )
