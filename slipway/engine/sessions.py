"""A stack opened for Pulumi's engine: its workspace, environment and recorded state."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pulumi import automation as auto

from slipway import stack_files
from slipway.engine import processes, pulumi_cli, state_file, workspace
from slipway.rendering.recorder import KUBERNETES, KUBERNETES_PROVIDER

UNREAD = auto.UpdateSummary("", dt.datetime.now(dt.UTC), "", {}, {}, "")
"""Stands for an operation's entry in the history."""
STRICT = {
    "PULUMI_K8S_DELETE_UNREACHABLE": "false",
    "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE": "false",
}
"""Keeps the Kubernetes provider from treating objects of an unreachable cluster as
deleted or as unchanged."""


@dataclass(frozen=True)
class Session:
    """One open stack."""

    name: str
    stack: auto.Stack
    work: Path
    """The engine's working folder."""
    environment: dict[str, str]
    file: Path | None = None
    """Where a file backend keeps the state; None for any other kind."""

    def _run(self, *arguments: str) -> str:
        done = self.stack.workspace.pulumi_command.run(
            [*arguments, "--stack", self.name],
            cwd=str(self.work),
            additional_env=self.environment,
        )
        return str(done.stdout)

    def state(self) -> dict[str, Any]:
        """Return the state as the engine exports it; secrets stay encrypted."""
        if (kept := self._kept()) is not None:
            return kept
        # Not Stack.export_stack(): that one requests the secrets in plain text.
        state: dict[str, Any] = json.loads(self._run("stack", "export"))
        return state

    def _kept(self) -> dict[str, Any] | None:
        """Return what the CLI would export of a file; None if only the CLI knows."""
        if self.file is None or not self.file.is_file():
            return None
        try:
            content = json.loads(self.file.read_bytes())
            if content["version"] != state_file.VERSION:
                return None
            # As `ExportDeployment` of Pulumi does (pkg/backend/diy/backend.go).
            return {
                "version": content["version"],
                "deployment": content["checkpoint"]["latest"],
            }
        except (OSError, ValueError, LookupError, TypeError):
            return None  # the CLI says what is wrong with it

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs; `[secret]` replaces secret ones.

        A backend's file has them as they are: a start of the CLI takes half a second.
        """
        if self.file is not None:
            with suppress(OSError, ValueError, LookupError, TypeError):
                return state_file.read(self.file).outputs
        found: dict[str, Any] = json.loads(self._run("stack", "output", "--json"))
        return found

    def replace_state(self, state: dict[str, Any]) -> None:
        """Replace the recorded state."""
        with tempfile.NamedTemporaryFile("w", dir=self.work, suffix=".json") as file:
            json.dump(state, file)
            file.flush()
            self._run("stack", "import", "--file", file.name)

    def resources(self) -> list[dict[str, Any]]:
        """All recorded resources, in the order in which they were created."""
        deployment = self.state().get("deployment") or {}
        return list(deployment.get("resources") or [])

    def uses_kubernetes(self) -> bool:
        """Whether a recorded resource needs the Kubernetes provider."""
        kinds = (KUBERNETES, KUBERNETES_PROVIDER)
        return any(resource["type"].startswith(kinds) for resource in self.resources())

    def refresh(self) -> None:
        """Read the real resources into the state, without a report."""
        self.stack.refresh(suppress_outputs=True, show_secrets=False)


def open_stack(
    stack: str,
    cli: pulumi_cli.PulumiCli,
    program: Callable[[], Any],
    root: Path | None = None,
) -> Session:
    """Opens a stack of the checkout `root` with the program that declares it.

    A stack that has no state yet gets an empty one.
    """
    return _open(auto.create_or_select_stack, stack, cli, program, root)


def open_existing(
    stack: str, cli: pulumi_cli.PulumiCli, root: Path | None = None
) -> Session:
    """Opens a stack without its program, to read it; StackNotFoundError without state.

    Nothing is written to the backend. A cluster that does not answer is an error here,
    whatever the caller's variables say.
    """
    return _open(auto.select_stack, stack, cli, lambda: None, root, variables=STRICT)


def _open(
    opening: Callable[..., auto.Stack],
    stack: str,
    cli: pulumi_cli.PulumiCli,
    program: Callable[[], Any],
    root: Path | None,
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Session:
    work = workspace.prepare(stack, root)
    environment = {
        **cli.environment,
        **workspace.environment(),
        processes.RUN_VARIABLE: processes.own_mark(),
        **variables,
    }
    options = auto.LocalWorkspaceOptions(
        work_dir=str(work),
        pulumi_home=str(cli.home),
        env_vars=environment,
        pulumi_command=cli.command,
    )
    opened = opening(
        stack,
        project_name=stack_files.project_name(root),
        program=program,
        opts=options,
    )
    _ask_nothing(opened)
    file = workspace.state_file(stack, root)
    return Session(stack, opened, work, environment, file)


def _ask_nothing(stack: auto.Stack) -> None:
    """Keep the SDK from running the CLI three times more after each operation.

    Nobody reads the operation's entry in the history; `Session.outputs` has the
    outputs without their secrets in plain text.
    """
    stack.outputs = dict  # type: ignore[method-assign]
    stack.info = lambda *_, **__: UNREAD  # type: ignore[method-assign]


def resources(stack: str) -> list[dict[str, Any]]:
    """All recorded resources of a stack; its program is not run."""
    return open_stack(stack, pulumi_cli.find(), lambda: None).resources()
