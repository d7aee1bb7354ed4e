"""Without the engine only what is certain: any doubt, and the engine runs."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from slipway.cluster.kube_api import KubeApiError
from slipway.engine import pulumi_cli, unchanged, workspace
from slipway.engine.unchanged import UncertainError
from slipway.rendering.recorder import STACK_REFERENCE, Resource
from tests.support.recorded_stack import STACK, RecordedStack
from toolchain import programs

RESOURCES = 7
"""The stack, a provider, a component, two ConfigMaps, a Secret, a Deployment."""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordedStack:
    """One that was brought up, and of which a record was kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setattr(programs, "find", lambda _: SimpleNamespace(identity="cli 1"))
    monkeypatch.setattr(unchanged, "ROLLOUT_SECONDS", 0)
    monkeypatch.setattr(unchanged, "API_SECONDS", 0)
    made = RecordedStack(tmp_path / "checkout")
    assert made.keep() == ""
    return made


def reason(stack: RecordedStack) -> str:
    with pytest.raises(UncertainError) as error:
        stack.look()
    return str(error.value)


def test_a_stack_that_nobody_touched(stack: RecordedStack) -> None:
    found = stack.look()
    assert found.count == RESOURCES
    assert found.outputs == {"address": "http://server", "key": "[secret]"}


def test_few_are_asked_and_no_secret_is_read(stack: RecordedStack) -> None:
    stack.cluster.calls.clear()
    stack.look()
    asked = [path for _, path in stack.cluster.calls]
    assert sorted(asked) == [
        "/api/v1",
        "/api/v1/configmaps",
        "/api/v1/namespaces/models/configmaps/theirs",  # it bears no label
        "/api/v1/secrets",
        "/apis/apps/v1",
        "/apis/apps/v1/deployments",
    ]


def test_the_record_is_its_owners_alone(stack: RecordedStack) -> None:
    assert stat.S_IMODE(stack.record.stat().st_mode) == 0o600
    assert set(json.loads(stack.record.read_text())) == {"engine", "program", "state"}
    assert os.listdir(workspace.folder(STACK)) == [unchanged.FILE]  # noqa: PTH208


def later_state(stack: RecordedStack) -> None:
    stack.write_state(manifest={"time": "later"})


def settings(stack: RecordedStack) -> None:
    stack.settings.write_text("config:\n  slipway:count: {secure: v1:other}\n")


def lock(stack: RecordedStack) -> None:
    stack.lock.write_text("{}")


def unreadable(stack: RecordedStack) -> None:
    stack.record.write_text("{")


def other_form(stack: RecordedStack) -> None:
    stack.record.write_text('{"engine": "x"}')


def no_state(stack: RecordedStack) -> None:
    stack.state.unlink()


def no_kind(stack: RecordedStack) -> None:
    stack.cluster.kinds["/apis/apps/v1"].clear()


def forbidden(stack: RecordedStack) -> None:
    stack.cluster.forbidden.add("/apis/apps/v1")


REASONS: dict[Callable[[RecordedStack], None], str] = {
    later_state: "the state has changed",
    settings: "the program or its settings have changed",
    lock: "another run holds the stack, or was killed",
    unreadable: "not as expected (JSONDecodeError",
    other_form: "not as expected (TypeError",
    no_state: "No such file or directory",
    no_kind: "the cluster has no kind apps/v1 Deployment",
    forbidden: "cannot get resource",
}


@pytest.mark.parametrize("spoil", REASONS, ids=lambda spoil: spoil.__name__)
def test_the_engine_runs_where_something_else_differs(
    stack: RecordedStack, spoil: Callable[[RecordedStack], None]
) -> None:
    spoil(stack)
    assert REASONS[spoil] in reason(stack)


def gone(stack: RecordedStack) -> None:
    del stack.cluster.objects[stack.path("settings")]


def adopted_gone(stack: RecordedStack) -> None:
    del stack.cluster.objects[stack.path("theirs")]


def created_again(stack: RecordedStack) -> None:
    stack.live("settings")["metadata"]["uid"] = "another"


def going(stack: RecordedStack) -> None:
    stack.live("settings")["metadata"]["deletionTimestamp"] = "now"
    stack.cluster.slow[stack.path("settings")] = 9


def without_label(stack: RecordedStack) -> None:
    stack.written("settings")["metadata"]["labels"].clear()


def value(stack: RecordedStack) -> None:
    stack.written("settings")["data"]["limit"] = "6"


def secret_value(stack: RecordedStack) -> None:
    stack.written("keys")["data"]["key"] = "b3RoZXI="


def image(stack: RecordedStack) -> None:
    pod = stack.written("server")["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = "server:2"


def second_container(stack: RecordedStack) -> None:
    pod = stack.written("server")["spec"]["template"]["spec"]
    pod["containers"].append({"name": "other"})


def no_pod(stack: RecordedStack) -> None:
    stack.written("server")["status"]["availableReplicas"] = 1


DRIFT: dict[Callable[[RecordedStack], None], str] = {
    gone: "ConfigMap/models/settings is not the one that was created",
    adopted_gone: "ConfigMap/models/theirs is not the one that was created",
    created_again: "ConfigMap/models/settings is not the one that was created",
    going: "ConfigMap/models/settings is being deleted",
    without_label: "ConfigMap/models/settings is not the one that was created",
    value: "ConfigMap/models/settings: data.limit is not as declared",
    secret_value: "Secret/models/keys was written, and holds secret values",
    image: "Deployment/models/server: spec.template.spec.containers[0].image "
    "is not as declared",
    second_container: "Deployment/models/server: spec.template.spec.containers "
    "is not as declared",
    no_pod: "Deployment/models/server is not ready",
}


@pytest.mark.parametrize("spoil", DRIFT, ids=lambda spoil: spoil.__name__)
def test_the_engine_runs_where_an_object_differs(
    stack: RecordedStack, spoil: Callable[[RecordedStack], None]
) -> None:
    spoil(stack)
    assert reason(stack) == DRIFT[spoil]


def test_a_workload_that_is_starting_is_waited_for(
    stack: RecordedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unchanged, "ROLLOUT_SECONDS", 60)
    no_pod(stack)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            stack.written("server")["status"]["availableReplicas"] = 2

    monkeypatch.setattr(unchanged.time, "sleep", sleep)
    stack.look()
    assert len(slept) == 3


def test_an_api_server_that_is_starting_is_asked_again(
    stack: RecordedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unchanged, "API_SECONDS", 15)
    asked = iter([KubeApiError("429 storage is (re)initializing"), []])

    def differences(*_: object) -> list[str]:
        found = next(asked)
        if isinstance(found, KubeApiError):
            raise found
        return found

    monkeypatch.setattr(unchanged.drift, "differences", differences)
    monkeypatch.setattr(unchanged.time, "sleep", lambda _: None)
    stack.look()
    assert next(asked, None) is None


def test_another_difference_is_not_waited_for(
    stack: RecordedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unchanged, "ROLLOUT_SECONDS", 60)
    monkeypatch.setattr(unchanged.time, "sleep", lambda _: pytest.fail("it waited"))
    no_pod(stack)
    gone(stack)
    assert "is not the one that was created" in reason(stack)


def test_what_the_cluster_writes_itself_is_no_difference(stack: RecordedStack) -> None:
    server = stack.written("server")
    server["metadata"] |= {"generation": 1, "managedFields": [{"manager": "x"}]}
    server["metadata"]["finalizers"] = ["a-controllers/own"]
    server["spec"]["replicas"] = 2  # an autoscaler's: the program ignores it
    server["spec"]["revisionHistoryLimit"] = 10
    stack.written("settings")["metadata"]["annotations"] = {"others": "too"}
    assert stack.look().count == RESOURCES


@pytest.mark.parametrize("given", [{"timeout": "2m"}, {"key": "hash"}])
def test_what_a_rendering_does_not_show_counts_too(
    stack: RecordedStack, given: dict[str, str]
) -> None:
    with pytest.raises(UncertainError, match="the program or its settings"):
        stack.look(stack.render(**given))


def test_another_engine_or_provider_runs(
    stack: RecordedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = "the last run was by another engine or provider"
    with monkeypatch.context() as patched:
        patched.setattr(pulumi_cli, "provider_version", lambda: "4.0.0")
        assert reason(stack) == another
    with monkeypatch.context() as patched:
        patched.setenv("PULUMI_K8S_SKIP_UPDATE_UNREACHABLE", "true")
        assert reason(stack) == another
    monkeypatch.setattr(programs, "find", lambda _: SimpleNamespace(identity="cli 2"))
    assert reason(stack) == another


def unfinished(stack: RecordedStack) -> None:
    stack.write_state(pending_operations=[{"type": "creating"}])


def not_initialized(stack: RecordedStack) -> None:
    stack.resources[-1]["initErrors"] = ["1 of 2 pods"]
    stack.write_state()


def one_more(stack: RecordedStack) -> None:
    stack.resources.append({**stack.resources[-1], "urn": "urn:pulumi:x::y::z::more"})
    stack.write_state()


def known_to_the_cluster_alone(stack: RecordedStack) -> None:
    """As if an input were an output that the rendering does not have."""
    settings = next(r for r in stack.resources if r["urn"].endswith("::settings"))
    settings["inputs"]["data"]["limit"] = "an address"
    settings["outputs"]["data"]["limit"] = "an address"
    stack.write_state()


def written_in_another_way(stack: RecordedStack) -> None:
    """As a quantity, 1 for 1000m: the engine would update it at each run."""
    settings = next(r for r in stack.resources if r["urn"].endswith("::settings"))
    settings["outputs"]["data"]["limit"] = "5.0"
    stack.write_state()


def another_version(stack: RecordedStack) -> None:
    stack.state.write_text(
        stack.state.read_text().replace('"version": 3', '"version": 4')
    )


NO_RECORD: dict[Callable[[RecordedStack], None], str] = {
    unfinished: "the last run left something unfinished",
    not_initialized: "the last run left something unfinished",
    one_more: "the state has other resources than the program",
    known_to_the_cluster_alone: "::settings: the engine has another data.limit",
    written_in_another_way: "::settings: the cluster has another data.limit",
    another_version: "version 4, not 3",
    lock: "another run holds the stack, or was killed",
    no_state: "No such file or directory",
}


@pytest.mark.parametrize("spoil", NO_RECORD, ids=lambda spoil: spoil.__name__)
def test_no_record_is_kept_that_could_mislead(
    stack: RecordedStack, spoil: Callable[[RecordedStack], None]
) -> None:
    spoil(stack)
    assert NO_RECORD[spoil] in stack.keep()
    assert not unchanged.is_recorded(STACK), "the earlier one is left"


def test_what_a_refresh_read_of_an_ignored_field_is_no_difference(
    stack: RecordedStack,
) -> None:
    """The engine keeps what it has read: replicas, or the weights of a rollout."""
    server = next(r for r in stack.resources if r["urn"].endswith("::server"))
    server["inputs"]["spec"]["replicas"] = 2
    stack.write_state()
    assert stack.keep() == ""


@pytest.mark.parametrize("type_", [STACK_REFERENCE, "aws:s3/bucket:Bucket"])
def test_no_record_for_what_is_elsewhere_than_in_the_cluster(
    stack: RecordedStack, type_: str
) -> None:
    """Another stack's outputs, of which a rendering has placeholders, for one."""
    rendered = stack.render()
    other = Resource(f"urn:pulumi:x::y::{type_}::z", type_, "z", {"name": "z"}, True)
    outputs = {**stack.live("settings"), **other.inputs}
    made = {"urn": other.urn, "type": type_, "inputs": other.inputs, "outputs": outputs}
    stack.resources.append(made)
    stack.write_state()
    more = replace(rendered, resources=(*rendered.resources, other))
    assert stack.keep(more).endswith("::z is not an object of Kubernetes")
    assert not unchanged.is_recorded(STACK)


def test_no_record_for_a_backend_of_another_kind(
    stack: RecordedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    workspace.folder(STACK).mkdir(parents=True)
    assert stack.keep() == "the state is not in a folder"
    assert not unchanged.is_recorded(STACK)
