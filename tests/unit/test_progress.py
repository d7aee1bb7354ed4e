"""Progress: what the events of a run become, on a terminal and in a log."""

from __future__ import annotations

import io
from typing import Any

from pulumi.automation.events import EngineEvent
from rich.console import Console

from slipway import progress
from slipway.progress import EngineProgress, Step

URN = "urn:pulumi:models.lab::slipway::kubernetes:apps/v1:Deployment::web"
OTHER = "urn:pulumi:models.lab::slipway::kubernetes:core/v1:Service::web"


def step(op: str, urn: str = URN, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"op": op, "urn": urn, "type": "t", "provider": "", **fields}}


def event(**content: Any) -> EngineEvent:
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, **content})


def follow(console: Console, *events: EngineEvent) -> EngineProgress:
    with EngineProgress(console, "models.lab", "updating", 3) as run:
        for one in events:
            run.on_event(one)
        if console.is_terminal:
            console.print(run._render().text)
    return run


def test_a_log_gets_a_line_per_change_and_none_for_the_rest() -> None:
    out = io.StringIO()
    difference = {"spec.replicas": {"diffKind": "update"}}
    run = follow(
        Console(file=out),
        event(resourcePreEvent=step("update", detailedDiff=difference)),
        event(resOutputsEvent=step("update")),
        event(resourcePreEvent=step("same", OTHER)),
        event(resOutputsEvent=step("same", OTHER)),
    )
    assert run.counts == {"update": 1, "same": 1}
    assert run.steps == [Step("update", URN, ("spec.replicas",))]
    lines = out.getvalue().splitlines()
    assert lines == ["models.lab: updating ...", "  update Deployment web (0.0 s)"]


def test_what_is_read_first_counts_only_by_what_follows() -> None:
    """An update that reads the real resources first tells what others changed too."""
    read = (
        event(resourcePreEvent=step("refresh")),
        event(resOutputsEvent=step("update")),
        event(resourcePreEvent=step("refresh", OTHER)),
        event(resOutputsEvent=step("delete", OTHER)),
    )
    made = (
        event(resourcePreEvent=step("same")),
        event(resOutputsEvent=step("same")),
        event(resourcePreEvent=step("create", OTHER)),
        event(resOutputsEvent=step("create", OTHER)),
    )
    run = follow(Console(file=io.StringIO()), *read, *made)
    assert run.counts == {"same": 1, "create": 1}
    assert run.steps == [Step("create", OTHER)]
    with EngineProgress(
        Console(file=io.StringIO()), "models.lab", progress.REFRESHING
    ) as only_read:
        for one in read:
            only_read.on_event(one)
    assert only_read.counts == {"update": 1, "delete": 1}


def test_a_preview_that_tells_all_twice_is_counted_once() -> None:
    twice = event(resOutputsEvent=step("create"))
    run = follow(Console(file=io.StringIO()), twice, twice)
    assert run.counts == {"create": 1}
    assert len(run.steps) == 1


def test_a_replacement_is_one_change() -> None:
    operations = ("delete-replaced", "replace", "create-replacement")
    events = [event(resOutputsEvent=step(op)) for op in operations]
    run = follow(Console(file=io.StringIO()), *events)
    assert run.counts == {"replace": 1}


def test_errors_and_warnings_are_kept_without_colours() -> None:
    def said(severity: str, text: str) -> EngineEvent:
        content = {"message": f"<{{%fg 1%}}>{text}<{{%reset%}}>\n", "urn": URN}
        return event(diagnosticEvent={**content, "color": "raw", "severity": severity})

    run = follow(
        Console(file=io.StringIO()),
        said("error", "[bold] is not markup"),
        said("warning", "careful"),
        said("info", "nothing"),
    )
    assert run.errors == [(URN, "[bold] is not markup")]
    assert run.warnings == ["careful"]


def test_a_terminal_sees_what_runs_now() -> None:
    out = io.StringIO()
    waiting = {"message": "[1/2] Waiting", "severity": "info", "color": "never"}
    follow(
        Console(file=out, force_terminal=True, width=120),
        event(resOutputsEvent=step("create", OTHER)),
        event(resourcePreEvent=step("create")),
        event(diagnosticEvent={**waiting, "urn": URN, "ephemeral": True}),
    )
    text = progress.clean(out.getvalue())
    assert "models.lab  updating  1 of 3  0 s" in text
    assert "creating Deployment web 0 s  [1/2] Waiting" in text


def test_builds_are_reported_in_a_log_now_and_then() -> None:
    out = io.StringIO()
    with progress.packages(Console(file=out)) as report:
        for done in range(1, 101):
            report("coredns", done, 100, None if done < 50 else 240.0)
    assert out.getvalue().splitlines() == [
        "  coredns: 1 of 100 packages compiled",
        "  coredns: 100 of 100 packages compiled, about 4 min left",
    ]


def test_a_preview_leaves_its_changes_to_the_summary() -> None:
    out = io.StringIO()
    with EngineProgress(Console(file=out), "models.lab", progress.PREVIEWING) as run:
        run.on_event(event(resOutputsEvent=step("create")))
    assert out.getvalue() == "models.lab: previewing ...\n"
    assert run.steps == [Step("create", URN)]
