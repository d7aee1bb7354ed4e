"""The command: order, confirmation, exit status, and all wrong settings together."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import slipway.engine.engine
import slipway.rendering.render
from components.settings import Problem, SettingsError
from slipway import cli, commands
from slipway.engine.results import EngineError, StackResult
from slipway.progress import Step
from toolchain import paths
from toolchain.errors import FAILED, WRONG

STACKS = ("platform.lab", "models.lab")


class FakeEngine:
    """Notes what it is asked; fails where told."""

    calls: tuple[tuple[str, str], ...] = ()
    failing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def check(self, stack: str) -> None:
        if stack in self.wrong:
            problem = Problem(f"{stack}.replicas", -1, "is negative", "give 1 or more")
            raise SettingsError(f"stacks/config/Pulumi.{stack}.yaml", [problem])

    def check_existing(self, stack: str) -> None:
        if stack in self.foreign:
            problem = Problem("Namespace/x", "managed by kubectl", "it exists", "adopt")
            raise SettingsError(f"stacks/config/Pulumi.{stack}.yaml", [problem])

    def _run(self, verb: str, stack: str, refresh: bool = False) -> StackResult:
        type(self).calls += ((verb + " --refresh" * refresh, stack),)
        if stack in self.failing:
            raise EngineError(stack, verb, [("", "no luck")], seconds=1.5)
        step = Step("create", "urn:pulumi:s::p::kubernetes:apps/v1:Deployment::web")
        changes = {"create": 2, "same": 1}
        outputs = {} if verb == "preview" else {"url": "http://127.0.0.1"}
        return StackResult(stack, verb, changes, 2.5, outputs, (step,), ("careful",))

    def __getattr__(self, verb: str) -> Any:
        return functools.partial(self._run, verb)


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    class Fresh(FakeEngine):
        pass

    monkeypatch.setattr(slipway.engine.engine, "Engine", Fresh)
    return Fresh


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, arguments)


def test_stacks_are_run_in_the_order_given(engine: type[FakeEngine]) -> None:
    result = run("up", *STACKS)
    assert result.exit_code == 0
    assert engine.calls == (("up", "platform.lab"), ("up", "models.lab"))
    assert re.search(r"models.lab +2 +- +- +- +1 +2\.5", result.stdout)
    assert "models.lab url: http://127.0.0.1" in result.stdout
    assert "warning: careful" in result.stdout


def test_up_reads_the_real_resources_first_if_asked(engine: type[FakeEngine]) -> None:
    assert run("up", "--refresh", "models.lab").exit_code == 0
    assert engine.calls == (("up --refresh", "models.lab"),)


def test_the_first_failure_stops_the_run(engine: type[FakeEngine]) -> None:
    engine.failing = ("platform.lab",)
    result = run("up", *STACKS)
    assert result.exit_code == FAILED
    assert engine.calls == (("up", "platform.lab"),)
    assert re.search(r"platform.lab +failed", result.stdout)
    assert re.search(r"models.lab +not run", result.stdout)
    assert "error: platform.lab: up failed after 1.5 s" in result.stderr


def test_all_wrong_settings_are_reported_before_anything_runs(
    engine: type[FakeEngine],
) -> None:
    engine.wrong = STACKS
    result = run("up", *STACKS)
    assert result.exit_code == WRONG
    assert engine.calls == ()
    assert result.stderr == "".join(
        f"error: stacks/config/Pulumi.{stack}.yaml: 1 problem, nothing was touched\n"
        f"  {stack}.replicas: -1\n"
        "    reason: is negative\n"
        "    fix: give 1 or more\n"
        for stack in STACKS
    )


def test_preview_shows_each_change(engine: type[FakeEngine]) -> None:
    result = run("preview", "models.lab")
    assert result.exit_code == 0
    assert "  + create Deployment web\n" in result.stdout
    assert re.search(
        r"stack +create +update +replace +delete +unchanged", result.stdout
    )


def test_destroy_goes_backwards_and_asks(engine: type[FakeEngine]) -> None:
    refused = run("destroy", *STACKS)
    assert refused.exit_code == 2
    assert "give --yes" in refused.stderr
    assert engine.calls == ()
    assert run("destroy", "--yes", *STACKS).exit_code == 0
    assert engine.calls == (("destroy", "models.lab"), ("destroy", "platform.lab"))


@pytest.mark.parametrize("stack", ["nothing.lab", "models", "models.nowhere"])
def test_a_stack_that_does_not_exist_is_reported(stack: str) -> None:
    result = run("render", stack)
    assert result.exit_code == WRONG
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_a_fault_of_the_program_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty(stack: str, **_: object) -> None:
        raise KeyError(stack)

    monkeypatch.setattr(slipway.rendering.render, "render", faulty)
    assert isinstance(run("render", "models.lab").exception, KeyError)


def test_render_prints_or_writes_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pulumi
    from pulumi_kubernetes.core.v1 import ConfigMap, Secret

    def program() -> None:
        ConfigMap("a", metadata={"name": "a"}, data={"text": "one\ntwo\n"})
        value = pulumi.Output.secret("hush")
        Secret("b", metadata={"name": "b"}, string_data={"password": value})

    rendered = slipway.rendering.render.render("models.lab", {}, {}, program)
    monkeypatch.setattr(slipway.rendering.render, "render", lambda _, **_more: rendered)
    printed = run("render", "models.lab")
    assert printed.exit_code == 0
    assert "  text: |\n    one\n    two\n" in printed.stdout
    assert "hush" not in printed.stdout
    told = "warning: 03-secret.b.yaml holds secret values and was left out (--secrets)"
    assert told in printed.stderr
    with_secrets = run("render", "models.lab", "--secrets")
    assert with_secrets.stdout.count("---\n") == 1
    assert "password: hush" in with_secrets.stdout
    told = "warning: 03-secret.b.yaml holds secret values in plain text"
    assert told in with_secrets.stderr
    written = run("render", "models.lab", "--out", str(tmp_path))
    assert written.stdout == ""
    assert "2 Kubernetes objects, 0 cloud resources" in written.stderr
    assert len(list((tmp_path / "models.lab").iterdir())) == 1


def test_every_command_has_help() -> None:
    context = click.Context(cli.cli)
    names = cli.cli.list_commands(context)
    own = {"up", "preview", "refresh", "destroy", "render", "version"}
    assert own <= set(names)
    for name in own:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) > 4, name


def test_help_needs_no_engine() -> None:
    """`--help` answers without loading Pulumi, which takes half a second."""
    code = (
        "import sys; from slipway import cli; "
        "cli.cli(['up', '--help'], standalone_mode=False); "
        "sys.exit('pulumi' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=paths.ROOT, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_what_others_made_is_reported_of_all_stacks_before_the_first_is_changed(
    engine: type[FakeEngine],
) -> None:
    engine.foreign = STACKS
    result = run("up", *STACKS)
    assert result.exit_code == WRONG
    assert engine.calls == ()
    assert result.stderr.count("Namespace/x: 'managed by kubectl'") == len(STACKS)


@pytest.mark.parametrize("name", commands.ELSEWHERE)
def test_a_command_is_listed_as_it_describes_itself(name: str) -> None:
    known = commands.ELSEWHERE[name]
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    assert not command.hidden
    listed = click.Command(name, help=known.about)
    for width in (40, 60, 1000):
        assert listed.get_short_help_str(width) == command.get_short_help_str(width)


LISTING = """
import sys
from slipway import cli, commands
try:
    cli.main()
finally:
    print({entry.module for entry in commands.ELSEWHERE.values()} & {*sys.modules})
"""


def test_the_list_of_commands_loads_none_of_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTING, "--help"],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in cli.cli.list_commands(click.Context(cli.cli)):
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE), name
    assert done.stdout.endswith("\nset()\n")


def test_completing_a_name_loads_no_command() -> None:
    asked = {"_SLIPWAY_COMPLETE": "bash_complete", "COMP_WORDS": "slipway re"}
    done = subprocess.run(
        [sys.executable, "-c", LISTING],
        cwd=paths.ROOT,
        env={**os.environ, **asked, "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    named = ("refresh", "render", "replay", "resize")
    assert done.stdout.split() == [*(f"plain,{name}" for name in named), "set()"]
