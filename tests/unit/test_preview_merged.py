"""The engine's preview in the report of `slipway compare`.

The events of tests/golden/engine_events/preview.json were written by the engine in the
emulator tier (tests/emulator/test_preview_merged.py), for the programs of
tests/support/previewed.py.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner
from pulumi.automation.events import OpType

import slipway.engine.engine
from slipway.cli import cli
from slipway.engine import summary
from slipway.engine.results import StackResult
from slipway.engine.steps import Steps, Verdict
from slipway.preview import (
    changes,
    engine_verdicts,
    markdown,
    replacement,
    verdict,
)
from slipway.preview.engine_verdicts import Seens
from slipway.preview.report import Disagreement, Report, StackReport
from slipway.rendering.render import render
from tests.support import previewed, recorded_events
from toolchain import paths
from toolchain.errors import WrongInputError

STACK = previewed.STACK
REFERENCE = paths.ROOT / "docs" / "reference"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
MAP = "kubernetes:core/v1:ConfigMap"
EMPTY = Report(
    *("base", "head", "base", "placeholders", "nothing", ""), (), (), (), (), ()
)


@pytest.fixture(autouse=True)
def two_unknown_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of these two types the renderings cannot tell what a change does."""
    known = copy.deepcopy(replacement.table())
    for type_ in (LOG_GROUP, "aws:sqs/queue:Queue"):
        del known["aws"]["types"][type_]
    monkeypatch.setattr(replacement, "table", lambda: known)


def rendered() -> StackReport:
    """What the renderings say of the programs."""
    sides = (
        render(STACK, config={}, program=run).resources
        for run in (previewed.base, previewed.head)
    )
    return changes.stack_report(STACK, *sides)


def preview() -> str:
    """What `slipway preview --json` printed after the recorded events."""
    steps = Steps()
    for event in recorded_events.kept("preview"):
        steps.on_event(event)
    result = StackResult(STACK, "preview", {}, 1.0, verdicts=steps.verdicts)
    return summary.previews([result])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    out = tmp_path / "preview.json"
    out.write_text(preview())
    return out


def merged(stack: StackReport, seen: Seens) -> Report:
    report = replace(EMPTY, stacks=(stack,))
    return verdict.with_verdict(engine_verdicts.merged(report, {stack.stack: seen}))


def schema(name: str) -> jsonschema.Draft202012Validator:
    content = json.loads((REFERENCE / f"{name}.schema.json").read_text())
    return jsonschema.Draft202012Validator(content)


def test_the_engine_confirms_decides_and_contradicts(file: Path) -> None:
    before = rendered()
    assert {item.name: item.action for item in before.items} == {
        "main": "changed",
        "second": "replaced",
        "log": "unknown",
        "queue": "unknown",
        "old": "deleted",
    }
    found = merged(before, engine_verdicts.load([file], [STACK])[STACK])
    actions = {item.name: item.action for item in found.items}
    assert actions == {
        "main": "changed",
        "second": "replaced",
        "log": "changed",
        "queue": "replaced",
        "old": "deleted",
    }
    (queue,) = (item for item in found.items if item.name == "queue")
    assert queue.reason == "name, as the engine says"
    (one,) = found.previews
    assert (one.agreed, one.decided) == (2, 2)
    assert one.disagreements == (
        Disagreement(
            *(STACK, LOG_GROUP, "forgotten", "nothing", "changed"),
            ("retentionInDays",),
        ),
        Disagreement(STACK, LOG_GROUP, "old", "deleted", "nothing", ()),
    )


def test_the_report_says_so_of_each_resource(file: Path) -> None:
    found = merged(rendered(), engine_verdicts.load([file], [STACK])[STACK])
    text = markdown.text(found)
    assert (
        "The engine previewed `cluster.tiny`: it agrees about 2 changed resources, "
        "decided about 2, disagrees about 2."
    ) in text
    assert (
        "| `cluster.tiny` | `cloudwatch LogGroup` `forgotten` | nothing | changed "
        "| `retentionInDays` |"
    ) in text
    assert "`cloudwatch LogGroup` `old` | deleted | nothing |" in text
    assert "by the engine, does something else with 2 resources" in found.verdict
    schema("compare").validate(json.loads(json.dumps(found.as_json())))


def test_a_report_without_a_preview_says_nothing_of_the_engine() -> None:
    report = verdict.with_verdict(replace(EMPTY, stacks=(rendered(),)))
    assert report.previews == ()
    assert "engine" not in markdown.text(report)


def test_what_stays_as_it_is_is_left_out() -> None:
    steps = Steps()
    for event in recorded_events.kept("preview"):
        if event.res_outputs_event:
            event.res_outputs_event.metadata.op = OpType.SAME
        steps.on_event(event)
    assert len(steps.of_providers) == 5
    assert steps.verdicts == ()


def seen(**verdicts: str) -> Seens:
    return {(MAP, name): engine_verdicts.Seen(v) for name, v in verdicts.items()}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("engine", "level", "text"),
    [
        ("replaced", "danger", "replaces or deletes 1 other resource"),
        ("deleted", "danger", "replaces or deletes 1 other resource"),
        ("changed", "attention", "does something else with 1 resource"),
    ],
)
def test_what_only_the_engine_sees_sets_the_level(
    engine: str, level: str, text: str
) -> None:
    found = merged(StackReport("models.dev", "both", ()), seen(settings=engine))
    assert found.level == level
    assert text in found.verdict
    assert found.changed


def test_what_may_be_replaced_stays_so_where_the_engine_sees_nothing() -> None:
    stack = rendered()
    found = merged(stack, {})
    assert {i.name for i in found.of("unknown")} == {"log", "queue"}
    assert found.previews[0].decided == 0
    assert len(found.disagreements) == len(stack.items)


def test_an_object_under_another_urn_is_one_object(tmp_path: Path) -> None:
    two = [Verdict(MAP, "n/a", "created"), Verdict(MAP, "n/a", "deleted")]
    result = StackResult(STACK, "preview", {}, 1.0, verdicts=tuple(two))
    out = tmp_path / "preview.json"
    out.write_text(summary.previews([result]))
    found = engine_verdicts.load([out], [STACK])[STACK]
    assert found[MAP, "n/a"].verdict == "moved"


def test_warnings_show_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    said = ("provider: password=hush-hush is deprecated",)
    result = StackResult(STACK, "preview", {}, 1.0, warnings=said)
    summary.details(result)
    for text in (summary.previews([result]), capsys.readouterr().out):
        assert "hush-hush" not in text
        assert "password=[redacted]" in text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("no JSON", "JSONDecodeError"),
        ("[]", "not what `slipway preview"),
        ('{"schema_version": 2, "stacks": []}', "schema_version is 2"),
        (preview().replace('"replaced"', '"<b>"'), "cannot become <b>"),
        (preview().replace(LOG_GROUP, "plain"), "plain cannot become"),
        (preview().replace(STACK, "cluster.other"), "previewed but not compared"),
    ],
)
def test_another_file_is_refused(content: str, text: str, tmp_path: Path) -> None:
    out = tmp_path / "preview.json"
    out.write_text(content)
    with pytest.raises(WrongInputError, match=text):
        engine_verdicts.load([out], [STACK])


def test_the_command_prints_json_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def check(self, stack: str) -> None: ...

        def preview(self, stack: str) -> StackResult:
            made = (Verdict(MAP, "n/a", "changed", ("data.limit",)),)
            return StackResult(
                *(stack, "preview", {}, 1.0), warnings=("careful",), verdicts=made
            )

    monkeypatch.setattr(slipway.engine.engine, "Engine", Fake)
    done = CliRunner().invoke(cli, ["preview", STACK, "--json"])
    assert done.exit_code == 0
    content: Any = json.loads(done.stdout)
    schema("preview").validate(content)
    assert content["stacks"][0]["resources"][0]["paths"] == ["data.limit"]
    schema("preview").validate(json.loads(preview()))


def test_compare_takes_the_file(tmp_path: Path) -> None:
    out = tmp_path / "preview.json"
    out.write_text(preview().replace(STACK, "models.mine"))
    words = ["compare", *[str(paths.ROOT)] * 2, "--stack", "models.mine"]
    done = CliRunner().invoke(cli, [*words, "--preview", str(out), "--json"])
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert content["level"] == "danger"
    assert len(content["previews"][0]["disagreements"]) == 5
