"""`slipway drift`: the report on events of a real run, and the command's exit status.

The events in tests/golden/engine_events were written by the engine in the emulator tier
(tests/emulator/test_drift.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result
from pulumi.automation import PulumiCommand
from pulumi.automation.errors import StackNotFoundError
from pulumi.automation.events import EngineEvent, StepEventMetadata

from slipway.cli import cli
from slipway.drift import checking, findings, markdown, reading, views
from slipway.drift.reading import Reading
from slipway.drift.report import DriftReport
from slipway.engine import interrupts, pulumi_cli, sessions
from slipway.engine.interrupts import Interrupts
from slipway.engine.results import EngineError
from slipway.engine.steps import Steps
from slipway.preview.report import PathChange
from slipway.rendering.recorder import MARK
from tests.support import recorded_events
from toolchain import paths
from toolchain.programs import Source

STACK, OTHER = "cluster.dev", "platform.dev"
SCHEMA = json.loads((paths.ROOT / "docs/reference/drift.schema.json").read_text())
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SECRET = "kubernetes:core/v1:Secret"
HIDDEN = "values are not shown, as some are secret"
HUSH = "a-value-that-nobody-may-see"
NOTHING = Reading((), ())
Json = dict[str, Any]


def recorded() -> Reading:
    """The run in which one log differs, one with a secret too, and a queue is gone."""
    steps = Steps()
    for event in recorded_events.kept("refresh"):
        steps.on_event(event)
    return Reading(tuple(steps.of_providers), ())


def step(type_: str, before: Json, after: Json | None, **more: Any) -> Reading:
    """One resource of a cluster with inputs before, and as they were read."""
    urn = f"urn:pulumi:{STACK}::slipway::{type_}::web"
    named = {"metadata": {"name": "web", "namespace": "models"}}

    def state(inputs: Json | None) -> Json | None:
        if inputs is None:
            return None
        return {"type": type_, "urn": urn, "custom": True, "inputs": named | inputs}

    op = "delete" if after is None else "update"
    metadata = {"op": op, "urn": urn, "type": type_, "provider": "p"}
    metadata |= {"old": state(before), "new": state(after), **more}
    return Reading((StepEventMetadata.from_json(metadata),), ())


def changed(*paths_: str, kind: str = "update") -> Json:
    return {"detailedDiff": {path: {"diffKind": kind} for path in paths_}}


def report(*readings: Reading) -> DriftReport:
    found = iter(readings)
    names = (STACK, OTHER)[: len(readings)]
    return checking.check(names, lambda _: next(found))


def as_json(one: DriftReport) -> Any:
    content = json.loads(json.dumps(one.as_json()))
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    return content


def test_a_real_run_is_reported_object_by_object() -> None:
    text = markdown.text(report(recorded()))
    assert text.splitlines() == [
        "### 🛑 1 of 3 resources is gone, 2 of 3 resources differ from the state.",
        "",
        "#### Gone",
        "- `cluster.dev` `sqs Queue` `interruptions`",
        "",
        "#### Different",
        "Each value of the state, and then the one that is there.",
        "",
        "- `cluster.dev` `cloudwatch LogGroup` `host-log`",
        "  - `retentionInDays`: `30` → `7`",
        f"- `cluster.dev` `cloudwatch LogGroup` `secret-log`: {HIDDEN}",
    ]
    assert HUSH in str(recorded().steps[1].new.outputs), "an output without a mark"
    assert HUSH not in text
    content = as_json(report(recorded()))
    assert content["level"] == "danger"
    assert [item["action"] for item in content["stacks"][0]["items"]] == [
        "changed",
        "changed",
        "deleted",
    ]


def test_both_reports_have_items_of_one_form() -> None:
    of_compare = paths.ROOT / "docs/reference/compare.schema.json"
    theirs = json.loads(of_compare.read_text())["$defs"]
    assert SCHEMA["$defs"]["Item"] == theirs["Item"]
    assert SCHEMA["$defs"]["PathChange"] == theirs["PathChange"]


def test_paths_of_the_provider_are_followed_to_their_values() -> None:
    label = 'metadata.labels["app.kubernetes.io/name"]'
    image = "spec.template.spec.containers[0].image"

    def inputs(name: str, tag: str, replicas: int) -> Json:
        labels = {"app.kubernetes.io/name": name}
        pod = {"spec": {"containers": [{"name": "server", "image": tag}]}}
        return {
            "metadata": {"name": "web", "namespace": "models", "labels": labels},
            "spec": {"replicas": replicas, "template": pod},
        }

    before, after = inputs("web", "a:1", 2), inputs("other", "a:2", 5)
    (item,) = report(step(DEPLOYMENT, before, after, **changed(label, image))).items
    assert item.name == "models/web"
    assert item.changes == (
        PathChange("metadata.labels.app.kubernetes.io/name", "web", "other"),
        PathChange(image, "a:1", "a:2"),
    )


def test_a_name_alone_is_followed_to_the_deepest_difference() -> None:
    before = {"spec": {"replicas": 2, "paused": True}}
    after = {"spec": {"replicas": 5, "paused": True}}
    (item,) = report(step(DEPLOYMENT, before, after, diffs=["spec"])).items
    assert item.changes == (PathChange("spec.replicas", "2", "5"),)


def test_what_an_update_would_replace_is_said() -> None:
    before, after = {"spec": {"selector": "a"}}, {"spec": {"selector": "b"}}
    told = changed("spec.selector", kind="update-replace")
    for more in (told, {"diffs": ["spec"]}):
        (item,) = report(step(DEPLOYMENT, before, after, **more)).items
        assert "spec.selector cannot be put right in place" in item.reason


def test_a_difference_without_values_is_still_told() -> None:
    (item,) = report(step(DEPLOYMENT, {}, {}, diffs=["status"])).items
    assert item.changes == (PathChange("status", findings.UNKNOWN, findings.UNKNOWN),)


@pytest.mark.parametrize("type_", [SECRET, DEPLOYMENT])
def test_no_value_of_what_holds_secrets_is_shown(type_: str) -> None:
    """A Secret's values may arrive without the engine's mark: the cluster has none."""
    marked = {MARK: "1b47061264138c4ac30d75fd1eb44270", "value": "[secret]"}
    before = {"data": {"key": marked if type_ != SECRET else "before"}}
    reading_ = step(type_, before, {"data": {"key": HUSH}}, diffs=["data"])
    found = report(reading_)
    (item,) = found.items
    assert item.secret
    text = json.dumps(as_json(found)) + markdown.text(found)
    assert HUSH not in text


def test_a_value_that_looks_like_a_secret_is_redacted() -> None:
    before, after = {"data": {"key": "a"}}, {"data": {"key": "AKIAIOSFODNN7EXAMPLE"}}
    found = report(step("kubernetes:core/v1:ConfigMap", before, after, diffs=["data"]))
    assert "AKIA" not in markdown.text(found)


VARIABLE = {"name": "DB_PASSWORD", "value": HUSH}
OTHERS = [{"name": "PORT", "value": "80"}]


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ({"data": {"DB_PASSWORD": "a"}}, {"data": {"DB_PASSWORD": HUSH}}, "data"),
        ({"data": {}}, {"data": {"DB_PASSWORD": HUSH}}, "data.DB_PASSWORD"),
        ({"env": [VARIABLE]}, {"env": [{**VARIABLE, "value": "b"}]}, "env[0].value"),
        ({"env": OTHERS}, {"env": [*OTHERS, VARIABLE]}, "env"),
        ({"env": OTHERS}, {"env": [*OTHERS, VARIABLE]}, "env[1]"),
        ({}, {"env": [VARIABLE]}, "env"),
        ({"url": "a"}, {"url": f"postgres://me:{HUSH}@host/db"}, "url"),
    ],
)
def test_a_value_with_the_name_of_a_secret_is_not_shown(
    before: Json, after: Json, path: str
) -> None:
    found = report(step(DEPLOYMENT, before, after, diffs=[path]))
    ((change,),) = (item.changes for item in found.items)
    assert "[redacted]" in change.before + change.after
    assert HUSH not in json.dumps(as_json(found)) + markdown.text(found)


def test_a_secret_that_differs_is_a_difference() -> None:
    before, after = {"data": {"TOKEN": "a"}}, {"data": {"TOKEN": "b"}}
    (item,) = report(step(DEPLOYMENT, before, after, diffs=["data"])).items
    assert item.changes == (PathChange("data.TOKEN", "[redacted]", "[redacted]"),)


@pytest.mark.parametrize("name", views.FILES)
def test_code_hosts_get_a_finding_for_each_object(name: str) -> None:
    text = views.FILES[name](report(recorded()))
    for expected in ("host-log", "secret-log", "interruptions", "retentionInDays"):
        assert expected in text
    assert "stacks/config/Pulumi.cluster.dev.yaml" in text
    assert views.FILES[name](report(NOTHING)).count("host-log") == 0


def fails(text: str, **more: Any) -> Callable[..., Reading]:
    def read(stack: str, *_: Any) -> Reading:
        raise EngineError(stack, "drift", [("", text)], **more)

    return read


def run(monkeypatch: pytest.MonkeyPatch, read: Any, *words: str) -> Result:
    monkeypatch.setattr(reading, "read", read)
    return CliRunner().invoke(cli, ["drift", STACK, *words])


@pytest.mark.parametrize(
    ("read", "status", "text"),
    [
        (lambda *_: NOTHING, 0, "No drift in 0 resources."),
        (lambda *_: recorded(), 1, "1 of 3 resources is gone"),
        (fails("the API server does not answer"), 2, "Not checked: cluster.dev."),
        (fails("", interrupted=True), 130, "drift was interrupted"),
    ],
)
def test_the_exit_status_says_what_was_found(
    read: Any, status: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(monkeypatch, read)
    assert done.exit_code == status, done.output
    assert text in done.output


def test_one_stack_that_fails_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(stack: str, *_: Any) -> Reading:
        return recorded() if stack == STACK else fails("no cluster")(stack)

    done = run(monkeypatch, read, OTHER, "--json")
    assert done.exit_code == 2
    content = json.loads(done.stdout)
    assert content["changed"]
    assert [bool(stack["error"]) for stack in content["stacks"]] == [False, True]
    assert "Nothing was changed." in content["stacks"][1]["error"]


@pytest.mark.parametrize("error", [None, StackNotFoundError])
def test_a_request_to_stop_ends_the_command_whatever_the_engine_answers(
    error: Callable[[str], Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may arrive while no child runs that it could be passed on to."""
    state, read = Interrupts(), []

    def refresh(**_: Any) -> None:
        read.append(STACK)
        state.received = True
        if error:
            raise error("no stack")

    session = SimpleNamespace(stack=SimpleNamespace(preview_refresh=refresh))
    monkeypatch.setattr(reading, "_open", lambda *_: session)
    monkeypatch.setattr(interrupts, "passed_on", lambda _: nullcontext(state))
    done = CliRunner().invoke(cli, ["drift", STACK, OTHER])
    assert done.exit_code == 130, done.output
    assert "drift was interrupted" in done.output
    assert read == [STACK]


def test_the_report_is_written_beside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = run(monkeypatch, lambda *_: recorded(), "--out", str(tmp_path / "out"))
    assert (tmp_path / "out/drift.md").read_text() == done.output
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"drift.json", "drift.md", *views.FILES}


def test_a_replacement_counts_once_and_components_do_not() -> None:
    def event(op: str, urn: str, type_: str = DEPLOYMENT, **more: Any) -> EngineEvent:
        state = {"urn": urn, "type": type_, "custom": True, **more}
        metadata = {"op": op, "urn": urn, "type": type_, "provider": "", "new": state}
        content = {"sequence": 0, "timestamp": 0, "resOutputsEvent": {}}
        content["resOutputsEvent"] = {"metadata": metadata}
        return EngineEvent.from_json(content)

    steps = Steps()
    for op in ("create-replacement", "replace", "delete-replaced"):
        steps.on_event(event(op, "a::web"))
    steps.on_event(event("update", "a::part", "slipway:serving:Part", custom=False))
    steps.on_event(event("update", "a::cloud", "pulumi:providers:aws"))
    assert [found.op.value for found in steps.of_providers] == ["replace"]


def test_a_cluster_that_does_not_answer_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The provider's own variables would report its objects as gone, or as the same."""
    opened: list[dict[str, str]] = []

    def select(*_: Any, opts: Any, **__: Any) -> SimpleNamespace:
        opened.append(opts.env_vars)
        return SimpleNamespace()

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in sessions.STRICT:
        monkeypatch.setenv(name, "true")
    monkeypatch.setattr(sessions.auto, "select_stack", select)
    command = PulumiCommand.__new__(PulumiCommand)
    cli_ = pulumi_cli.PulumiCli(command, Source.PATH, tmp_path)
    sessions.open_existing("models.lab", cli_)
    (environment,) = opened
    assert environment.items() >= sessions.STRICT.items()
