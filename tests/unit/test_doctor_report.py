"""The doctor's report: its JSON, its exit status, and what it does without answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError
from click.testing import CliRunner, Result

from components.settings import SettingsError
from slipway import cli
from slipway.account import Account, CannotAskError
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.doctor import cli as doctor
from slipway.doctor import examination, plan, pods
from slipway.doctor.checks import CHECKS, permissions
from slipway.doctor.findings import Finding, Report, Status
from slipway.doctor.plan import Plan
from slipway.engine import stack_api
from slipway.rendering.render import render
from slipway.teardown.drain import NODE_POOLS, PODS
from tests.support import doctor as d
from tests.support.stubbed import Stubbed
from toolchain import paths

SCHEMA = json.loads((paths.ROOT / "docs/reference/doctor.schema.json").read_text())


def valid(report: Report) -> dict[str, Any]:
    found = report.as_json()
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found


def report(*statuses: Status) -> Report:
    findings = (Finding("credentials", one, "s", "d") for one in statuses)
    return Report("cluster.test", d.ACCOUNT, "us-east-1", tuple(findings))


@pytest.mark.parametrize(
    ("statuses", "exit_status"),
    [
        (("good", "good"), 0),
        (("good", "unknown"), 2),
        (("unknown", "problem"), 1),
    ],
)
def test_the_exit_status_is_of_the_worst(
    statuses: tuple[Status, ...], exit_status: int
) -> None:
    found = valid(report(*statuses))
    assert found["exit_status"] == exit_status


def test_the_schema_is_one_and_refuses_what_is_not_in_it() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    wrong = report("good").as_json() | {"extra": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(wrong)


def test_the_schema_names_every_check() -> None:
    names = SCHEMA["properties"]["findings"]["items"]["properties"]["check"]["enum"]
    assert names == [*CHECKS, pods.NAME]


def test_the_example_on_the_page_is_one() -> None:
    page = (paths.ROOT / "docs/how-to/doctor.md").read_text()
    (example,) = re.findall(r"^```json\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(example))
    assert all(f"`{name}`" in page for name in [*CHECKS, pods.NAME])


# Without answers


def test_without_credentials_nothing_else_is_asked_and_nothing_is_good() -> None:
    asked: list[str] = []

    def client(service: str) -> Any:
        asked.append(service)
        raise exceptions.NoCredentialsError

    found = examination.examine(d.plan(), Account("us-east-1", client))
    assert asked == ["sts"]
    assert [one.check for one in found.findings] == list(CHECKS)
    assert {one.status for one in found.findings} == {"unknown"}
    assert "AWS_PROFILE" in found.findings[0].fix
    assert valid(found)["exit_status"] == 2


def test_with_another_accounts_credentials_no_more_is_asked() -> None:
    aws = Stubbed()
    d.caller(aws, "999988887777")
    found = examination.examine(d.plan(), aws.account)
    assert found.findings[0].status == "problem"
    assert {one.status for one in found.findings[1:]} == {"unknown"}
    assert found.exit_status == 1


def test_what_a_check_found_before_an_error_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def first(_: Plan, __: Account) -> Iterator[Finding]:
        yield Finding("credentials", "good", "account.id", "yes")

    def half(_: Plan, __: Account) -> Iterator[Finding]:
        yield Finding("cidrs", "problem", "network.cidr", "taken")
        raise CannotAskError("it went away", "wait")

    checks = {"credentials": first, "cidrs": half, "images": lambda *_: iter(())}
    monkeypatch.setattr(examination, "CHECKS", checks)
    found = examination.examine(d.plan(), Stubbed().account).findings
    assert [(one.check, one.status) for one in found] == [
        ("credentials", "good"),
        ("cidrs", "problem"),
        ("cidrs", "unknown"),
        ("images", "good"),
    ]


@pytest.mark.parametrize(
    ("error", "why", "fix"),
    [
        (exceptions.NoCredentialsError(), "no credentials", "aws sso login"),
        (exceptions.ProfileNotFound(profile="x"), "no credentials", "AWS_PROFILE"),
        (
            exceptions.EndpointConnectionError(endpoint_url="https://sts"),
            "AWS does not answer",
            "network",
        ),
        (
            exceptions.ConnectTimeoutError(endpoint_url="https://sts"),
            "AWS does not answer",
            "network",
        ),
        (ResponseParserError("html"), "something other than AWS", "HTTPS_PROXY"),
        (exceptions.DataNotFoundError(data_path="x"), "sts get_caller_id", "library"),
    ],
)
def test_errors_of_the_library_say_what_to_do(
    error: Exception, why: str, fix: str
) -> None:
    def client(_: str) -> Any:
        raise error

    with pytest.raises(CannotAskError) as caught:
        Account("us-east-1", client).ask("sts", "get_caller_identity")
    assert why in caught.value.why
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("AccessDenied", "sts:GetCallerIdentity"),
        ("ExpiredToken", "sign in again"),
        ("Throttling", "run it again"),
        ("InternalError", "see the text from AWS"),
    ],
)
def test_errors_of_awss_say_what_to_do(code: str, fix: str) -> None:
    aws = Stubbed()
    aws.refuses("sts", "get_caller_identity", code)
    with pytest.raises(CannotAskError, match=fix):
        aws.account.ask("sts", "get_caller_identity")


def test_a_page_in_an_errors_place_is_cut_to_a_line() -> None:
    found = CannotAskError("<html>\n" + "error " * 200, "look")
    assert len(found.why) < 310
    assert "\n" not in found.why


def test_calls_that_may_change_something_are_not_made() -> None:
    account = Stubbed().account
    for call in ("delete_vpc", "create_tags", "put_role_policy", "run_instances"):
        with pytest.raises(ValueError, match="may change"):
            account.ask("ec2", call)
        with pytest.raises(ValueError, match="may change"):
            account.all("ec2", call, "Vpcs")


# The whole command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, ["doctor", *arguments])


def test_the_command_prints_json_that_the_schema_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws = Stubbed()
    aws.refuses("sts", "get_caller_identity", "ExpiredToken")
    monkeypatch.setattr(doctor, "Account", lambda _: aws.account)
    done = run("cluster.dev", "--json")
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert found["stack"] == "cluster.dev"


def test_the_command_shows_problems_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Report(
        "cluster.dev",
        d.ACCOUNT,
        "us-east-1",
        (
            Finding("cidrs", "good", "network.cidr", "free"),
            Finding("images", "problem", "al2023", "gone [x]", "pin another"),
        ),
    )
    monkeypatch.setattr(doctor, "_of_cluster", lambda _: found)
    done = run("cluster.dev")
    assert done.exit_code == 1
    assert done.stdout.index("gone [x]") < done.stdout.index("free")
    assert "fix: pin another" in done.stdout
    assert "1 good, 1 problems, 0 could not be looked at" in done.stdout


def test_settings_that_are_refused_are_reported_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_: str) -> Plan:
        raise SettingsError("stacks/config/Pulumi.cluster.dev.yaml", [])

    monkeypatch.setattr(plan, "of_stack", refused)
    assert run("cluster.dev").exit_code == 2


@pytest.mark.parametrize("stack", ["cluster.dev", "cluster.prod"])
def test_the_table_of_actions_knows_every_type_of_the_stacks(stack: str) -> None:
    types = {one["type"] for one in render(stack).cloud}
    assert len(types) > 20
    assert types <= set(permissions.table())


def test_a_stacks_plan_has_all_that_the_checks_ask() -> None:
    found = plan.of_stack("cluster.prod")
    assert {len(group.arns) > 0 for group in permissions.groups(found)} == {True}
    assert found.addons.keys() >= {"vpc-cni", "coredns"}
    assert found.zones(found.pools["h100"]) == ("us-east-1a",)
    names = {arn for group in permissions.groups(found) for arn in group.arns}
    assert not [arn for arn in names if "{" in arn]


# Pods that wait


class FakeKube(KubeApi):
    def __init__(self, objects: dict[str, list[Any]]) -> None:
        super().__init__(httpx.Client())
        self._objects = objects

    def items(self, path: str) -> list[Any]:
        return self._objects.get(path, [])


def pod(gpus: int) -> dict[str, Any]:
    asks = {"requests": {"cpu": "1", "nvidia.com/gpu": str(gpus)}}
    return {
        "metadata": {"namespace": "models", "name": "llm-0"},
        "spec": {"containers": [{"resources": asks}]},
        "status": {"phase": "Pending"},
    }


def test_a_pod_that_no_pool_serves_is_a_problem_with_each_pools_reason() -> None:
    kind = "node.kubernetes.io/instance-type"
    asked = {"key": kind, "operator": "In", "values": ["g6.xlarge"]}
    pool = {
        "metadata": {"name": "gpu"},
        "spec": {"template": {"spec": {"requirements": [asked]}}},
    }
    cluster = FakeKube({PODS: [pod(8)], NODE_POOLS: [pool]})
    (found,) = pods.check(cluster)
    assert found.status == "problem"
    assert found.subject == "models Pod/llm-0"
    assert "gpu: the pod requests 8 nvidia.com/gpu, but the closest" in found.detail
    served = FakeKube({PODS: [pod(1)], NODE_POOLS: [pool]})
    (found,) = pods.check(served)
    assert found.status == "good"


def test_a_cluster_without_waiting_pods_is_good() -> None:
    (found,) = pods.check(FakeKube({}))
    assert (found.status, found.detail) == ("good", "none waits for a node")


def test_a_cluster_that_does_not_answer_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere(_: str) -> KubeApi:
        raise KubeApiError("no way there")

    monkeypatch.setattr(stack_api, "of_stack", nowhere)
    found = pods.examine("platform.lab")
    assert valid(found)["exit_status"] == 2
