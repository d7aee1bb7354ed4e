"""`up` starts the engine unless it is certain that it would change nothing."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from slipway import waiting
from slipway.engine import readiness, stack_api
from slipway.engine.engine import Engine
from slipway.engine.results import EngineError, StackResult
from tests.support.recorded_stack import STACK, RecordedStack, program
from toolchain import programs

BY_ENGINE = StackResult(STACK, "up", {"update": 1}, 12.0)


class Started:
    """A stand-in for the engine that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.said = io.StringIO()

    def up(self, stack: RecordedStack, **options: bool) -> StackResult:
        engine = Engine(Console(file=self.said), {STACK: program}, stack.root)
        engine._run = self._run  # type: ignore[assignment, method-assign]
        return engine.up(STACK, **options)

    def _run(self, *_: Any) -> StackResult:
        self.runs += 1
        return BY_ENGINE


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordedStack:
    """One that was brought up, and of which a record was kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setattr(programs, "find", lambda _: SimpleNamespace(identity="cli 1"))
    made = RecordedStack(tmp_path / "checkout")
    monkeypatch.setattr(stack_api, "of_stack", lambda *_: made.cluster.api)
    made.keep()
    return made


@pytest.fixture
def engine() -> Started:
    return Started()


def test_an_unchanged_stack_needs_no_engine(
    stack: RecordedStack, engine: Started
) -> None:
    result = engine.up(stack, shortcut=True)
    assert engine.runs == 0
    assert (result.stack, result.verb) == (STACK, "up")
    assert result.changes == {"same": 7}
    assert not result.changed
    assert result.outputs == {"address": "http://server", "key": "[secret]"}
    said = engine.said.getvalue()
    assert f"{STACK}: 7 resources compared directly, without the engine" in said
    assert f"To run it: slipway up --refresh {STACK}" in said
    assert "hush" not in said


@pytest.mark.parametrize("options", [{}, {"refresh": True}])
def test_the_engine_runs_unless_the_shortcut_is_asked_for(
    stack: RecordedStack, engine: Started, options: dict[str, bool]
) -> None:
    assert engine.up(stack, **options) is BY_ENGINE
    assert engine.runs == 1


def test_the_engine_runs_where_an_object_differs(
    stack: RecordedStack, engine: Started
) -> None:
    stack.written("settings")["data"]["limit"] = "6"
    assert engine.up(stack, shortcut=True) is BY_ENGINE
    differs = "ConfigMap/models/settings: data.limit is not as declared"
    assert f"{STACK}: {differs}: the engine runs\n" in engine.said.getvalue()


def test_without_a_record_the_engine_runs_and_leaves_one(
    stack: RecordedStack, engine: Started
) -> None:
    stack.record.unlink()
    assert engine.up(stack, shortcut=True) is BY_ENGINE
    assert engine.said.getvalue() == ""
    assert engine.up(stack, shortcut=True).changes == {"same": 7}
    assert engine.runs == 1


def test_why_there_is_no_record_is_said(stack: RecordedStack, engine: Started) -> None:
    stack.lock.write_text("{}")
    held = "another run holds the stack, or was killed"
    assert engine.up(stack, shortcut=True) is BY_ENGINE
    assert engine.said.getvalue().splitlines()[1:] == [
        f"{STACK}: {held}: the engine runs",
        f"{STACK}: the next run needs the engine again: {held}",
    ]
    assert engine.up(stack, refresh=True) is BY_ENGINE
    assert len(engine.said.getvalue().splitlines()) == 3


def test_a_deletion_that_was_waited_for_is_the_engines(
    stack: RecordedStack, engine: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    namespace = "/api/v1/namespaces/models"
    stack.cluster.add(namespace, metadata={"deletionTimestamp": "now"})
    stack.cluster.slow[namespace] = 1
    assert engine.up(stack, shortcut=True) is BY_ENGINE


def test_what_makes_objects_useful_is_waited_for_as_before(
    stack: RecordedStack, engine: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = readiness.Seen(warnings=["Gateway/x: a listener is not accepted"])
    monkeypatch.setattr(readiness, "of_stack", lambda *_: seen)
    assert engine.up(stack, shortcut=True).warnings == tuple(seen.warnings)
    missing = readiness.Seen(missing=["HTTPRoute/models/x: NoMatchingParent"])
    monkeypatch.setattr(readiness, "of_stack", lambda *_: missing)
    with pytest.raises(EngineError, match="HTTPRoute/models/x: NoMatchingParent"):
        engine.up(stack, shortcut=True)
    assert engine.runs == 0
