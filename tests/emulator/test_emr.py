"""A stack with EMR Serverless alone, in an emulated account: its life, in order.

moto runs nothing: each run has succeeded as soon as it is started.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from components.settings import parse
from components.training.settings import JobsSettings
from slipway.engine import sessions
from slipway.engine.results import EngineError
from slipway.jobs import emr_command, emr_runs
from slipway.jobs.emr_runs import EmrRuns
from slipway.rendering.render import render
from slipway.stack_files import load
from slipway.teardown.protection import ProtectedError
from tests.support.aws import sweep
from tests.support.aws.world import World, world
from tests.support.emr_stack import SETTINGS

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
STACK, BUCKET = "jobs.emr", "analytics-emr-logs-111122223333-eu-central-1"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("emr")
    with world(STACK, folder, copy.deepcopy(SETTINGS)) as found:
        yield found


@pytest.fixture(scope="module")
def before(stack: World) -> dict[str, list[str]]:
    return sweep.everything(stack.account)


def application(stack: World) -> dict[str, Any]:
    emr = stack.account.client("emr-serverless")
    found = emr.list_applications(states=["CREATED", "STARTED", "STOPPED"])
    (only,) = found["applications"]
    told: dict[str, Any] = emr.get_application(applicationId=only["id"])["application"]
    return told


def runs(stack: World, monkeypatch: pytest.MonkeyPatch) -> EmrRuns:
    """As the commands have them, with the engine's own state."""
    state = stack.engine.resources(STACK)
    monkeypatch.setattr(sessions, "resources", lambda _: state)
    chosen = parse(JobsSettings, stack.settings, "the stack's file")
    return emr_runs.opened(STACK, chosen, lambda _: stack.account.client)


def test_a_first_up_makes_all_that_is_declared(
    stack: World, before: dict[str, list[str]]
) -> None:
    assert before["applications"] == []
    declared = render(STACK, load(STACK, stack.root)["config"]).resources
    assert stack.up().changes == {"create": len(declared) + 1}
    found = application(stack)
    assert (found["name"], found["releaseLabel"]) == ("analytics", "emr-7.13.0")
    assert found["maximumCapacity"] == {
        "cpu": "64 vCPU",
        "memory": "256 GB",
        "disk": "400 GB",
    }
    assert found["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 15}
    assert found["tags"]["slipway.dev/stack"] == STACK


def test_what_the_emulator_forgets_was_sent(stack: World) -> None:
    (sent,) = stack.sent("emr-serverless:CreateApplication")
    assert sent["architecture"] == "ARM64"
    logs = sent["monitoringConfiguration"]
    assert logs["managedPersistenceMonitoringConfiguration"] == {"enabled": False}
    assert logs["s3MonitoringConfiguration"]["logUri"] == f"s3://{BUCKET}/"


def test_logs_are_encrypted_and_go_after_days(stack: World) -> None:
    s3, kms = stack.account.client("s3"), stack.account.client("kms")
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)[
        "ServerSideEncryptionConfiguration"
    ]["Rules"]
    key = rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    aliases = kms.list_aliases(KeyId=key)["Aliases"]
    assert [one["AliasName"] for one in aliases] == ["alias/analytics-emr-logs"]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rules[0]["Expiration"]["Days"] == 30


def test_a_role_is_for_this_application_alone(stack: World) -> None:
    iam = stack.account.client("iam")
    for job in ("counts", "words"):
        role = iam.get_role(RoleName=f"analytics-emr-{job}")["Role"]
        trust = json.dumps(role["AssumeRolePolicyDocument"])
        assert application(stack)["arn"] in trust


def test_a_run_is_started_listed_and_followed(
    stack: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = runs(stack, monkeypatch)
    made = found.start("counts")
    assert found.get(made)["executionRole"].endswith(":role/analytics-emr-counts")
    (row, other) = emr_command.rows(found, ["counts", "words"])
    assert (row.job, row.run, row.state) == ("counts", made, "succeeded")
    assert other.state == "has not run"
    assert found.active("counts") == []
    following = emr_command.EmrFollowing(found, made)
    assert [event.text for event in following] == ["succeeded"]  # type: ignore[union-attr]
    assert following.end is not None
    assert following.end.exit_status == 0


def test_a_change_needs_no_other_application(stack: World) -> None:
    known = application(stack)["applicationId"]

    def edit(settings: dict[str, Any]) -> None:
        settings["emr"]["idle_minutes"] = 5
        settings["emr"]["jobs"]["words"]["reads"] = ["s3://example-log/words"]

    stack.change(edit)
    changed = stack.up().changes
    assert (changed["update"], "replace" in changed) == (2, False)
    found = application(stack)
    assert found["applicationId"] == known
    assert found["autoStopConfiguration"]["idleTimeoutMinutes"] == 5


def test_a_lab_that_is_gone_does_not_take_the_stacks_state(stack: World) -> None:
    before = stack.engine.resources(STACK)
    stack.engine.forget("emr")
    assert "jobs.emr is kept" in stack.said.getvalue()
    assert stack.engine.resources(STACK) == before


def test_logs_are_not_deleted_by_a_destroy(stack: World) -> None:
    with pytest.raises(ProtectedError, match=r"emr\.logs\.protect: false"):
        stack.take_down()
    assert application(stack)["state"] == "STOPPED"


def test_an_application_that_runs_is_stopped_and_deleted(
    stack: World, before: dict[str, list[str]]
) -> None:
    def edit(settings: dict[str, Any]) -> None:
        settings["emr"]["logs"]["protect"] = False

    stack.change(edit)
    stack.up()
    emr = stack.account.client("emr-serverless")
    emr.start_application(applicationId=application(stack)["applicationId"])
    with pytest.raises(EngineError, match="the application is STARTED"):
        stack.destroy()
    stack.take_down()
    assert sweep.beside(before, sweep.everything(stack.account)) == {}
