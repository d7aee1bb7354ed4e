"""A stack of an inline program, run with the policy pack by Pulumi's own CLI."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import yaml
from pulumi import automation
from pulumi.runtime.proto import analyzer_pb2_grpc

from components.security.rules import FOLDER, PACK
from slipway.engine import pulumi_cli
from slipway.engine.loops import Loops
from toolchain import paths

PROGRAM = "pulumi-analyzer-policy-slipway"
PROJECT = "theirs"
STOPPED_SECONDS = 30
CODE = """
import sys, pathlib
from toolchain import paths
paths.PROJECT = pathlib.Path(sys.argv.pop(1))
from slipway.policy_pack.server import main
main()
"""
"""The program as it is where Slipway is installed: the project is its user's."""
SCRIPT = """#!/bin/sh
PYTHONPATH={root} exec {python} -c '{code}' {project} "$@"
"""


@dataclass(frozen=True)
class Violation:
    """The CLI's output about one resource."""

    rule: str
    level: str
    name: str
    """Of the resource in the program."""
    message: str


@dataclass
class Run:
    """What came of an operation."""

    violations: list[Violation] = field(default_factory=list)
    error: str = ""
    """What the CLI said, if it failed."""

    def level(self, rule: str) -> str:
        """How the CLI took the rule's only violation; empty where there is none."""
        found = [it.level for it in self.violations if it.rule == rule]
        assert len(found) < 2
        return "".join(found)


@dataclass
class Packed:
    """A user's project with rules of its own, and a stack of it."""

    stack: automation.Stack
    project: Path
    program: Path
    """The executable; the folder of rules is the pack too."""

    @property
    def folder(self) -> Path:
        """The project's rules, which are a policy pack by PulumiPolicy.yaml."""
        return self.project / FOLDER

    def rules(self, content: Mapping[str, Any]) -> None:
        """Writes rules, waivers and parameters of the project."""
        (self.folder / "own.yaml").write_text(yaml.safe_dump(dict(content)))

    def preview(self, pack: Path | None = None, **options: Any) -> Run:
        return self._run(self.stack.preview, pack, options)

    def up(self, pack: Path | None = None, **options: Any) -> Run:
        return self._run(self.stack.up, pack, options)

    def _run(
        self, verb: Callable[..., Any], pack: Path | None, options: dict[str, Any]
    ) -> Run:
        done = Run()

        def note(event: Any) -> None:
            if found := event.policy_event:
                name = (found.resource_urn or "").rpartition("::")[2]
                level = found.enforcement_level
                done.violations.append(
                    Violation(found.policy_name, level, name, found.message)
                )

        chosen = [str(pack or self.program)]
        try:
            verb(policy_packs=chosen, on_event=note, **options)
        except automation.CommandError as error:
            done.error = str(error)
        return done


@contextmanager
def packed(
    folder: Path, name: str, program: Callable[[], None], **environment: str
) -> Iterator[Packed]:
    """A stack without resources, whose state goes with the folder."""
    project, place = folder / "project", folder / "bin"
    for made in (project / FOLDER, place, folder / "state"):
        made.mkdir(parents=True)
    ours = paths.ROOT / FOLDER / PACK
    (project / FOLDER / PACK).write_text(ours.read_text())
    executable = place / PROGRAM
    text = SCRIPT.format(
        root=paths.ROOT, python=sys.executable, code=CODE, project=project
    )
    executable.write_text(text)
    executable.chmod(0o755)
    cli = pulumi_cli.find()
    options = automation.LocalWorkspaceOptions(
        pulumi_command=cli.command,
        env_vars={
            **cli.environment,
            **environment,
            "PATH": f"{place}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
        },
    )
    loops = Loops()
    stack = automation.create_stack(
        name, project_name=PROJECT, program=loops.watched(program), opts=options
    )
    try:
        yield Packed(stack, project, executable)
    finally:
        loops.close()


@contextmanager
def running(program: Path, cwd: Path) -> Iterator[Any]:
    """The analyzer as a process, as the engine starts it, and a client of it."""
    process = subprocess.Popen(
        [program, "127.0.0.1:1"], cwd=cwd, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(STOPPED_SECONDS) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
