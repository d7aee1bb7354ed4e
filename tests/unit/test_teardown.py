"""Destroy of a cluster: refused, drained, swept, deleted, looked after, in order."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from rich.console import Console

from slipway import waiting
from slipway.account import CannotAskError
from slipway.cluster import target
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.cluster.target import Target
from slipway.engine.engine import Engine
from slipway.engine.results import EngineError, StackResult
from slipway.teardown import destroyer, leftovers
from slipway.teardown.aws import Found, Made
from slipway.teardown.destroyer import Destroyer
from slipway.teardown.leftovers import Leftover, LeftoverError
from slipway.teardown.protection import ProtectedError, protected
from stacks import files
from tests.support.fake_cluster import FakeCluster
from tests.support.stubbed import Stubbed
from toolchain.errors import FAILED, INTERRUPTED, WRONG

ACCOUNT = "111122223333"
STACK = "cluster.dev"
URN = f"urn:pulumi:{STACK}::slipway::"
EKS = "slipway:cluster:Eks$"


def resource(type_: str, name: str, parents: str = "", **more: Any) -> dict[str, Any]:
    return {"type": type_, "urn": f"{URN}{parents}{type_}::{name}", **more}


def cluster(**outputs: Any) -> dict[str, Any]:
    found = {
        "name": "serving",
        "arn": f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/serving",
        "endpoint": "https://api",
        "certificateAuthority": {"data": "Q0E="},
        "deletionProtection": False,
    }
    return resource(target.CLUSTER, "cluster", EKS, outputs=found | outputs)


class FakeEngine:
    """Notes what it is asked, in the list that all parts share."""

    def __init__(self, done: list[str], resources: list[dict[str, Any]]) -> None:
        self.console = Console(file=io.StringIO(), width=200)
        self.done, self.state = done, resources
        self.failures: list[EngineError] = []

    def resources(self, _: str) -> list[dict[str, Any]]:
        return self.state

    def destroy(self, stack: str) -> StackResult:
        self.done.append("destroy")
        if self.failures:
            raise self.failures.pop(0)
        return StackResult(stack, "destroy", {"delete": 2}, 1.0)

    @property
    def said(self) -> str:
        return cast("io.StringIO", self.console.file).getvalue()


class World:
    """A destroyer whose parts are fakes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *resources: Any) -> None:
        self.done: list[str] = []
        self.left: list[Leftover] | CannotAskError = []
        self.swept: list[list[Made]] = []
        self.kube = FakeCluster()
        self.engine = FakeEngine(self.done, list(resources or [cluster()]))
        self.account = ACCOUNT
        self.volumes: list[bool] = []
        world = self

        class FakeFound(Found):
            def account(self) -> str:
                return world.account

        class FakeSweep:
            def __init__(self, *_: Any, volumes: bool) -> None:
                world.volumes.append(volumes)

            def run(self) -> list[Made]:
                world.done.append("sweep")
                return world.swept.pop(0) if world.swept else []

        def find(_: Found) -> list[Leftover]:
            self.done.append("look")
            if isinstance(self.left, CannotAskError):
                raise self.left
            return self.left

        self.found = FakeFound
        monkeypatch.setattr(destroyer, "Sweep", FakeSweep)
        monkeypatch.setattr(leftovers, "find", find)
        self.reach: Callable[[Target], KubeApi] = self._reach

    def _reach(self, _: Target) -> KubeApi:
        self.done.append("drain")
        return self.kube.api

    def destroy(self, stack: str = STACK, *, delete_volumes: bool = False) -> Any:
        made = Destroyer(
            cast("Engine", self.engine),
            delete_volumes=delete_volumes,
            found=self.found,
            reach=self.reach,
        )
        return made.destroy(stack)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_drain_sweep_destroy_and_look_come_in_this_order(world: World) -> None:
    assert world.destroy().changes == {"delete": 2}
    assert world.done == ["drain", "sweep", "destroy", "look"]
    assert "no resource has the tags of serving any more" in world.engine.said


def test_other_layers_are_the_engines_alone(world: World) -> None:
    world.destroy("platform.dev")
    assert world.done == ["destroy"]


def test_volumes_are_deleted_only_where_that_is_asked_for(world: World) -> None:
    world.destroy()
    world.destroy(delete_volumes=True)
    assert world.volumes == [False, True]


def test_a_cluster_that_does_not_answer_is_swept_by_tags(world: World) -> None:
    def nowhere(_: Target) -> KubeApi:
        raise KubeApiError("no way there")

    world.reach = nowhere
    world.destroy()
    assert world.done == ["sweep", "destroy", "look"]
    assert "serving does not answer (no way there)" in world.engine.said


def test_protected_resources_are_refused_before_anything_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = resource(
        "aws:s3/bucket:Bucket",
        "models",
        "slipway:cluster:ModelStorage$slipway:cluster:SecureBucket$",
        protect=True,
    )
    kept = World(monkeypatch, cluster(deletionProtection=True), bucket)
    with pytest.raises(ProtectedError) as caught:
        kept.destroy()
    assert kept.done == []
    changes = "cluster.deletion_protection: false, storage.protect: false"
    assert str(caught.value).splitlines() == [
        "cluster.dev has protected resources; nothing was touched",
        "  cluster (Cluster)",
        "  models (Bucket)",
        f"To delete them: set {changes} in stacks/config/Pulumi.cluster.dev.yaml,",
        "then: slipway up cluster.dev && slipway destroy cluster.dev",
    ]
    assert caught.value.exit_status == WRONG


def test_what_no_setting_protects_is_reported_with_the_engines_command() -> None:
    odd = resource("aws:sqs/queue:Queue", "q", protect=True)
    assert protected([odd])[0].setting == ""
    error = ProtectedError(STACK, protected([odd]))
    assert "pulumi state unprotect" in str(error)
    assert "To delete them" not in str(error)


def test_another_accounts_credentials_touch_nothing(world: World) -> None:
    world.account = "999988887777"
    with pytest.raises(EngineError, match="999988887777"):
        world.destroy()
    assert world.done == []


def test_what_was_in_the_engines_way_is_swept_and_it_goes_on_once(
    world: World,
) -> None:
    world.engine.failures = [EngineError(STACK, "destroy", [("", "DependencyViolat")])]
    world.swept = [[], [Made("interface", "eni-1")]]
    world.destroy()
    assert world.done == ["drain", "sweep", "destroy", "sweep", "destroy", "look"]


def test_an_error_that_no_sweep_helps_is_raised(world: World) -> None:
    world.engine.failures = [EngineError(STACK, "destroy", [("", "BucketNotEmpty")])]
    with pytest.raises(EngineError, match="BucketNotEmpty"):
        world.destroy()
    assert world.done == ["drain", "sweep", "destroy", "sweep"]


def test_an_interrupted_engine_is_not_started_again(world: World) -> None:
    stopped = EngineError(STACK, "destroy", [("", "stop")], interrupted=True)
    world.engine.failures = [stopped]
    with pytest.raises(EngineError):
        world.destroy()
    assert world.done == ["drain", "sweep", "destroy"]


def test_an_interrupt_while_draining_is_one_and_says_how_to_go_on(
    world: World,
) -> None:
    def interrupted(_: Target) -> KubeApi:
        raise KeyboardInterrupt

    world.reach = interrupted
    with pytest.raises(EngineError) as caught:
        world.destroy()
    assert caught.value.exit_status == INTERRUPTED
    assert "To go on where it stopped: slipway destroy cluster.dev" in str(caught.value)
    assert world.done == []


def test_leftovers_are_listed_and_fail_the_command(world: World) -> None:
    world.left = [Leftover("ec2 volume", "vol-1", "kubernetes.io/cluster/serving")]
    with pytest.raises(LeftoverError) as caught:
        world.destroy()
    assert caught.value.exit_status == FAILED
    assert "vol-1" in world.engine.said
    assert "but others are left: 1" in str(caught.value)
    assert "--delete-volumes" in str(caught.value)


def test_leftovers_that_cannot_be_seen_are_no_success(world: World) -> None:
    world.left = CannotAskError("AccessDenied: no", "let the role do tag:GetResources")
    with pytest.raises(
        LeftoverError, match="the check for leftovers failed: AccessDenied"
    ):
        world.destroy()


def test_a_second_run_finds_its_cluster_by_the_stacks_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.engine.state = []
    config = {
        "slipway:account": {"id": ACCOUNT, "region": "us-east-1"},
        "slipway:cluster": {"name": "serving"},
    }
    monkeypatch.setattr(files, "load", lambda _: {"config": config})
    world.destroy()
    assert world.done == ["sweep", "destroy", "look"]


def test_a_stack_of_which_nothing_is_known_is_the_engines_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.engine.state = []
    monkeypatch.setattr(files, "load", lambda _: {})
    world.destroy()
    assert world.done == ["destroy"]


def test_the_target_is_what_the_state_says() -> None:
    vpc = resource(target.VPC, "network", outputs={"id": "vpc-1"})
    assert target.of_state([vpc, cluster()]) == Target(
        "serving", ACCOUNT, "us-east-1", "https://api", "Q0E=", "vpc-1"
    )
    assert target.of_state([vpc]) is None


# Applications of EMR Serverless


JOBS = "jobs.emr"
APPLICATION = resource(
    "aws:emrserverless/application:Application",
    "emr",
    "slipway:training:EmrServerless$",
    id="00fkht2eodujab09",
    outputs={
        "name": "analytics",
        "arn": f"arn:aws:emr-serverless:eu-central-1:{ACCOUNT}:/applications/00fkht",
    },
)


def emr_state(state: str) -> dict[str, Any]:
    told = {
        "applicationId": "00fkht2eodujab09",
        "arn": APPLICATION["outputs"]["arn"],
        "releaseLabel": "emr-7.13.0",
        "type": "Spark",
        "state": state,
        "createdAt": 0,
        "updatedAt": 0,
    }
    return {"application": told}


def destroyed(world: World, aws: Stubbed) -> Any:
    asked: list[str] = []

    def clients(region: str) -> Any:
        asked.append(region)
        return aws.client

    made = Destroyer(cast("Engine", world.engine), clients=clients)
    found = made.destroy(JOBS)
    assert asked == ["eu-central-1"]
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0)


def test_an_application_is_stopped_before_it_is_deleted(
    monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    world, aws = World(monkeypatch, APPLICATION), Stubbed()
    for state in ("STARTED", "STOPPING", "STOPPED"):
        aws.says("emr-serverless", "get_application", emr_state(state))
        if state == "STARTED":
            aws.says("emr-serverless", "list_job_runs", {"jobRuns": []})
            aws.says("emr-serverless", "stop_application", {})
    destroyed(world, aws)
    aws.all_asked()
    assert world.done == ["destroy"]
    assert "waiting for 1 applications that stop: analytics" in world.engine.said


def test_an_application_that_does_not_run_is_left_to_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, aws = World(monkeypatch, APPLICATION), Stubbed()
    aws.says("emr-serverless", "get_application", emr_state("CREATED"))
    destroyed(world, aws)
    assert world.done == ["destroy"]


def test_an_application_that_is_gone_is_left_to_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, aws = World(monkeypatch, APPLICATION), Stubbed()
    aws.refuses("emr-serverless", "get_application", "ResourceNotFoundException")
    destroyed(world, aws)
    assert world.done == ["destroy"]


def test_runs_that_go_on_are_not_ended_by_a_destroy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, aws = World(monkeypatch, APPLICATION), Stubbed()
    aws.says("emr-serverless", "get_application", emr_state("STARTED"))
    aws.says(
        "emr-serverless",
        "list_job_runs",
        {
            "jobRuns": [
                {
                    "applicationId": "00fkht2eodujab09",
                    "id": "00fkhtrun0000001",
                    "arn": f"{APPLICATION['outputs']['arn']}/jobruns/1",
                    "createdBy": f"arn:aws:iam::{ACCOUNT}:role/me",
                    "createdAt": 0,
                    "updatedAt": 0,
                    "executionRole": f"arn:aws:iam::{ACCOUNT}:role/analytics-emr-it",
                    "state": "RUNNING",
                    "stateDetails": "-",
                    "releaseLabel": "emr-7.13.0",
                }
            ]
        },
    )
    with pytest.raises(EngineError, match="runs that go on: 00fkhtrun0000001"):
        destroyed(world, aws)
    assert world.done == []
