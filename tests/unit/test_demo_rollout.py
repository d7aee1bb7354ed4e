"""`make demo-rollout`: its options and settings, and when it ends as it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rollout.status import Phase

from components.serving.models_settings import ModelsSettings
from examples.demo_rollout import __main__ as command
from examples.demo_rollout import demo, failing_pod
from examples.demo_rollout.demo import BAD, GOOD, Result
from examples.demo_rollout.stack import Pair, settings
from slipway.engine.results import EngineError
from slipway.rendering import placeholders
from slipway.rendering.render import images_in_place
from toolchain import paths
from toolchain.errors import INTERRUPTED, OperatorError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--interval-seconds", "4"], "4: give 5 to 300"),
        (["--interval-seconds", "x"], "x: give 5 to 300"),
    ],
)
def test_wrong_options_are_reported(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_without_the_lab_it_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def down(_: str) -> None:
        raise OperatorError("no answer; run `make up`")

    monkeypatch.setattr(demo, "check_lab", down)
    monkeypatch.setattr(demo, "run", lambda *_: pytest.fail("it began"))
    assert command.main([]) == 2
    assert "run `make up`" in capsys.readouterr().err


def test_interrupted_it_ends_as_other_commands_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise EngineError("models.demo", "up", [], interrupted=True)

    monkeypatch.setattr(demo, "check_lab", lambda _: None)
    monkeypatch.setattr(demo, "run", interrupted)
    assert command.main([]) == INTERRUPTED


def test_the_lab_is_asked_before_anything_is_created() -> None:
    with pytest.raises(OperatorError, match="run `make up`"):
        demo.check_lab("http://127.0.0.1:1")


@pytest.mark.parametrize("pair", [GOOD, BAD])
def test_the_settings_are_those_of_a_stack(pair: Pair) -> None:
    values = settings(pair, [pair.stable, pair.canary], 10)
    with images_in_place(placeholders.images(paths.ROOT)):
        found = ModelsSettings.model_validate(values)
    rollout = found.models["demo"].rollout
    assert rollout is not None
    assert [step.weight for step in rollout.steps] == [25, 50]


def result(pair: Pair, **more: Any) -> Result:
    wanted = Phase.BACK if pair is BAD else Phase.PROMOTED
    values: dict[str, Any] = {
        "pair": pair,
        "wanted": wanted,
        "phase": wanted,
        "seconds": 61.5,
        "answers": 12345,
        "failures": {"500": 9} if pair is BAD else {},
        "differences": [],
    }
    return Result(**values | more)


@pytest.mark.parametrize("pair", [GOOD, BAD])
@pytest.mark.parametrize(
    ("change", "is_expected"),
    [
        ({}, True),
        ({"phase": None}, False),
        ({"phase": Phase.RUNNING}, False),
        ({"failures": {"503": 1}}, False),
        ({"differences": ["verdict"]}, False),
    ],
)
def test_another_end_is_reported(
    pair: Pair, change: dict[str, Any], *, is_expected: bool
) -> None:
    assert result(pair, **change).is_expected is is_expected


def test_a_good_revision_may_not_fail_a_request() -> None:
    assert not result(GOOD, failures={"500": 1}).is_expected


def test_the_table_has_a_row_for_each_rollout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "check_lab", lambda _: None)
    found = [result(GOOD), result(BAD, phase=None)]
    monkeypatch.setattr(demo, "run", lambda *_: found)
    console = Console(width=150, record=True)
    assert command.run(console, tmp_path, 10) == 1
    said = console.export_text()
    assert "monday -> tuesday" in said
    assert "12,345" in said
    assert "9 with 500" in said
    assert "not ended" in said


def test_the_failing_pod_is_an_endpoint_of_the_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("components.images.resolve", lambda name: f"x/{name}@y")
    labels = {"app": "demo", "revision": "wednesday"}
    found = failing_pod.manifest(labels, "demo-wednesday-failing")
    assert found["metadata"]["labels"] == labels
    assert found["spec"]["securityContext"]["runAsNonRoot"]
