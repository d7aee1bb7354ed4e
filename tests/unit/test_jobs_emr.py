"""`slipway run` and `slipway jobs` with jobs of EMR Serverless: what AWS is asked."""

from __future__ import annotations

import copy
import datetime as dt
import json
import time
from typing import Any

import pytest

from components.training.settings import JobsSettings
from slipway import emr_api, stack_settings
from slipway.engine import sessions
from slipway.jobs import command, emr_runs, run_command
from slipway.jobs.runs import RunError
from tests.support.emr_stack import ACCOUNT, REGION, SETTINGS
from tests.support.job_runs import slipway
from tests.support.stubbed import Stubbed

APPLICATION = "00fkht2eodujab09"
RUN, OTHER = "00fkhtrun0000001", "00fkhtrun0000002"
ARN = f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/{APPLICATION}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/analytics-emr-counts"
MADE = dt.datetime(2026, 12, 1, 10, 0, 0, tzinfo=dt.UTC)
ACTIVE = list(emr_api.ACTIVE)


class Aws(Stubbed):
    """EMR Serverless with answers given beforehand, in their order."""

    def lists(self, *runs: dict[str, Any], states: list[str] | None = None) -> None:
        asked: dict[str, Any] = {"applicationId": APPLICATION}
        asked |= {"states": states} if states else {}
        answer = {"jobRuns": list(runs)}
        self.says("emr-serverless", "list_job_runs", answer, **asked)

    def starts(self) -> None:
        answer = {
            "applicationId": APPLICATION,
            "jobRunId": RUN,
            "arn": f"{ARN}/jobruns/{RUN}",
        }
        self.says("emr-serverless", "start_job_run", answer)

    def tells(self, state: str, **more: Any) -> None:
        found = {
            **summary(state),
            "jobRunId": RUN,
            "jobDriver": {"sparkSubmit": {"entryPoint": "s3://a/b.py"}},
            "executionTimeoutMinutes": 720,
            **more,
        }
        del found["id"]
        answer = {"jobRun": found}
        asked = {"applicationId": APPLICATION, "jobRunId": RUN}
        self.says("emr-serverless", "get_job_run", answer, **asked)

    def cancels(self) -> None:
        answer = {"applicationId": APPLICATION, "jobRunId": RUN}
        self.says("emr-serverless", "cancel_job_run", answer, **answer)


def summary(
    state: str, run: str = RUN, job: str = "counts", second: int = 0
) -> dict[str, Any]:
    made = MADE + dt.timedelta(seconds=second)
    return {
        "applicationId": APPLICATION,
        "id": run,
        "name": job,
        "arn": f"{ARN}/jobruns/{run}",
        "createdBy": ROLE,
        "createdAt": made,
        "updatedAt": made + dt.timedelta(seconds=90),
        "executionRole": ROLE,
        "state": state,
        "stateDetails": f"{state} it is",
        "releaseLabel": "emr-7.13.0",
    }


@pytest.fixture
def resources(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the engine remembers of the stack."""
    roles = ("analytics-emr-counts", "analytics-emr-words")
    found: list[dict[str, Any]] = [
        {"type": emr_runs.ROLE, "id": name, "outputs": {"name": name}} for name in roles
    ]
    found.append({"type": emr_api.APPLICATION, "id": APPLICATION, "outputs": {}})
    monkeypatch.setattr(sessions, "resources", lambda _: found)
    return found


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, resources: list[dict[str, Any]]) -> Any:
    stubbed, opened = Aws(), emr_runs.opened

    def load(_: str, model: type[JobsSettings]) -> JobsSettings:
        return model.model_validate(copy.deepcopy(SETTINGS))

    monkeypatch.setattr(stack_settings, "load", load)
    monkeypatch.setattr(
        emr_runs,
        "opened",
        lambda stack, settings: opened(stack, settings, lambda _: stubbed.client),
    )
    monkeypatch.setattr(time, "sleep", lambda _: None)
    yield stubbed
    stubbed.all_asked()


def test_a_run_is_started_with_the_jobs_role(aws: Aws) -> None:
    asked: dict[str, Any] = {}
    events = aws.client("emr-serverless").meta.events
    events.register(
        "provide-client-params.emr-serverless.StartJobRun",
        lambda params, **_: asked.update(params),
    )
    aws.lists(states=ACTIVE)
    aws.starts()
    aws.lists(summary("SUBMITTED"), states=ACTIVE)
    done = slipway(run_command.command, "counts")
    assert done.exit_code == 0, done.output
    assert f"slipway jobs follow {RUN} --stack jobs.lab" in done.stderr
    assert (asked["applicationId"], asked["name"]) == (APPLICATION, "counts")
    assert asked["executionRoleArn"] == ROLE
    submit = asked["jobDriver"]["sparkSubmit"]
    assert submit["entryPointArguments"] == ["--days", "31 of them"]


def test_one_run_of_a_job_at_a_time(aws: Aws) -> None:
    aws.lists(summary("RUNNING"), summary("RUNNING", OTHER, "words"), states=ACTIVE)
    with pytest.raises(RunError) as caught:
        slipway(run_command.command, "counts")
    assert f"{RUN} of this job goes on" in str(caught.value)
    assert OTHER not in str(caught.value)


def test_of_two_runs_that_start_at_once_the_later_is_cancelled(aws: Aws) -> None:
    aws.lists(states=ACTIVE)
    aws.starts()
    both = summary("SUBMITTED"), summary("SUBMITTED", OTHER)
    aws.lists(*both, states=ACTIVE)
    aws.tells("SUBMITTED")
    aws.cancels()
    with pytest.raises(RunError, match=f"{OTHER} of this job goes on"):
        slipway(run_command.command, "counts")


def test_the_first_of_two_runs_stays(aws: Aws) -> None:
    aws.lists(states=ACTIVE)
    aws.starts()
    both = summary("SUBMITTED"), summary("SUBMITTED", OTHER, second=1)
    aws.lists(*both, states=ACTIVE)
    assert slipway(run_command.command, "counts").exit_code == 0


@pytest.mark.parametrize(
    ("told", "status", "said"),
    [
        ({"state": "SUCCESS"}, 0, "succeeded"),
        ({"state": "FAILED"}, 1, "FAILED it is"),
        ({"state": "CANCELLED", "totalExecutionDurationSeconds": 60}, 1, "stopped"),
        (
            {"state": "CANCELLED", "totalExecutionDurationSeconds": 720 * 60},
            124,
            "longer than its deadline",
        ),
    ],
)
def test_a_run_is_followed_to_its_end(
    aws: Aws, told: dict[str, Any], status: int, said: str
) -> None:
    aws.lists(states=ACTIVE)
    aws.starts()
    aws.lists(summary("SUBMITTED"), states=ACTIVE)
    aws.tells("PENDING")
    aws.tells("RUNNING")
    aws.tells("RUNNING")
    aws.tells(**told)
    done = slipway(run_command.command, "counts", "--wait")
    assert done.exit_code == status
    assert done.stderr.count(f"{RUN} running") == 1
    assert said in done.stderr
    place = f"analytics-emr-logs-{ACCOUNT}-{REGION}/applications/{APPLICATION}/jobs"
    assert f"s3://{place}/{RUN}/" in done.stderr


def test_an_answer_that_fails_does_not_end_the_following(aws: Aws) -> None:
    aws.tells("RUNNING")
    aws.refuses("emr-serverless", "get_job_run", "InternalServerException")
    aws.tells("SUCCESS")
    assert slipway(command.command, "follow", RUN).exit_code == 0


def test_a_run_that_there_is_not_is_not_waited_for(aws: Aws) -> None:
    aws.refuses("emr-serverless", "get_job_run", "ResourceNotFoundException")
    with pytest.raises(RunError, match="ResourceNotFoundException"):
        slipway(command.command, "follow", RUN)


def test_runs_are_listed_and_need_no_cluster(aws: Aws) -> None:
    aws.lists(summary("RUNNING", OTHER, second=5), summary("SUCCESS"))
    done = slipway(command.command, "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {
            "job": "counts",
            "run": RUN,
            "state": "succeeded",
            "started": "2026-12-01T10:00:00Z",
            "seconds": 90,
        },
        {
            "job": "counts",
            "run": OTHER,
            "state": "running",
            "started": "2026-12-01T10:00:05Z",
            "seconds": None,
        },
        {
            "job": "words",
            "run": "",
            "state": "has not run",
            "started": "",
            "seconds": None,
        },
    ]


def test_a_run_is_stopped(aws: Aws) -> None:
    aws.tells("RUNNING")
    aws.cancels()
    assert "is being cancelled" in slipway(command.command, "stop", RUN).stderr


def test_a_run_that_has_ended_is_not_stopped(aws: Aws) -> None:
    aws.tells("SUCCESS")
    with pytest.raises(RunError, match="has ended already"):
        slipway(command.command, "stop", RUN)


def test_an_application_that_is_not_there_yet_needs_up(
    aws: Aws, resources: list[dict[str, Any]]
) -> None:
    resources.pop()
    with pytest.raises(RunError, match=r"slipway up jobs\.lab"):
        slipway(run_command.command, "counts")


def test_a_job_whose_role_is_not_there_yet_needs_up(
    aws: Aws, resources: list[dict[str, Any]]
) -> None:
    del resources[0]
    aws.lists(states=ACTIVE)
    with pytest.raises(RunError, match="counts has no role yet"):
        slipway(run_command.command, "counts")


def test_a_job_of_no_stack_is_named_with_those_that_are(aws: Aws) -> None:
    done = slipway(run_command.command, "count")
    assert "jobs.lab has no job count; it has: counts, words" in done.output


def test_what_aws_refuses_is_said_with_what_to_do(aws: Aws) -> None:
    aws.refuses("emr-serverless", "list_job_runs", "AccessDeniedException", "no")
    with pytest.raises(RunError, match="grant the caller's role emr-serverless:"):
        slipway(run_command.command, "counts")
