"""Runs stacks on Pulumi's engine: its Automation API with the programs of `stacks/`.

    Engine().up("platform.lab")

The program runs in this process, so no language host is needed. State lies in a file
backend of ours unless PULUMI_BACKEND_URL says otherwise. A run that is killed at any
point is repaired by the next one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pulumi.automation.errors import CommandError
from pulumi.automation.events import EngineEvent
from rich.console import Console

from components import lookups
from slipway import progress, stack_files
from slipway.cluster import sources
from slipway.engine import (
    backend_files,
    existing,
    interrupts,
    live_weights,
    locks,
    loops,
    output,
    pulumi_cli,
    readiness,
    recovery,
    sessions,
    stack_api,
    unchanged,
    workspace,
)
from slipway.engine.results import EngineError, StackResult
from slipway.engine.sessions import Session
from slipway.engine.steps import Steps
from slipway.ledger import staged
from slipway.progress import EngineProgress
from slipway.rendering import render
from slipway.rendering.recorder import AWS, KUBERNETES
from slipway.waiting import Waiting
from stacks import layers

DOING = {
    "up": "updating",
    "preview": progress.PREVIEWING,
    "refresh": progress.REFRESHING,
    "destroy": "destroying",
}


class Engine:
    """Plans and makes changes to stacks; every method takes a stack's name.

    `programs` stands in for the modules of `stacks/`, by stack; `root` for the
    checkout: tests use both.
    """

    def __init__(
        self,
        console: Console | None = None,
        programs: Mapping[str, layers.Program] | None = None,
        root: Path | None = None,
    ) -> None:
        self.console = console or Console(stderr=True)
        self.programs = dict(programs or {})
        self.root = root
        self._cli: pulumi_cli.PulumiCli | None = None
        self._loops = loops.Loops()
        self._checked: dict[str, render.Rendered] = {}
        self._unmade: frozenset[str] = frozenset()

    def _say(self, text: str) -> None:
        progress.say(self.console, text)

    def check(self, stack: str) -> render.Rendered:
        """Runs the stack's program without the engine, to find what is wrong with it.

        Raises SettingsError and whatever else the program raises, before anything is
        touched.
        """
        if stack not in self._checked:
            config = stack_files.program_config(stack, self.root)
            program = self.programs.get(stack)
            rendered = render.render(stack, config, program=program, look_up=True)
            sources.require_kubeconfig(stack, rendered)
            self._checked[stack] = rendered
        return self._checked[stack]

    def check_existing(self, stack: str) -> None:
        """Find objects of others before another stack of the same run is changed.

        SettingsError names all of them. If the cluster cannot be queried yet, for
        example because that other stack creates it, the stack's own run repeats the
        check.
        """
        if self.check(stack).uses_kubernetes:
            with suppress(CommandError, EngineError):
                self._refuse_foreign("up", stack, self._open(stack))

    def up(
        self, stack: str, refresh: bool = False, *, shortcut: bool = False
    ) -> StackResult:
        """Creates and updates the stack's resources until they are as declared.

        `refresh`: reads the real ones first, so that what others changed or deleted is
        put right too; without it the recorded ones are compared.
        `shortcut`: reads them without the engine, and does not start it if it is
        certain that it would change nothing; else as `refresh`.
        """
        waited = self._await_namespaces(stack)
        if shortcut and not waited and (found := self._compared(stack)):
            return found
        refresh = waited or refresh or shortcut

        def run(session: Session, follow: EngineProgress) -> dict[str, Any]:
            read = self._recover(stack, session)
            session.stack.up(
                refresh=refresh and not read,
                on_event=follow.on_event,
                suppress_outputs=True,
                show_secrets=False,
            )
            self._await_use(stack, follow)
            return session.outputs()

        result = self._run("up", stack, run)
        why_not = unchanged.keep(stack, self.check(stack), self.root)
        if shortcut and why_not:
            self._say(f"{stack}: the next run needs the engine again: {why_not}")
        return result

    def _compared(self, stack: str) -> StackResult | None:
        """The result if the engine would find all as declared; None to start it."""
        if not unchanged.is_recorded(stack):
            return None
        rendered = self.check(stack)
        follow = EngineProgress(self.console, stack, "comparing")
        with follow:
            try:
                found = unchanged.look(
                    stack,
                    rendered,
                    lambda: stack_api.of_stack(stack, self.root),
                    self.root,
                )
            except unchanged.UncertainError as error:
                self._say(f"{stack}: {error}: the engine runs")
                return None
            self._await_use(stack, follow)
        self._say(
            f"{stack}: {found.count} resources compared directly, without the engine, "
            f"in {follow.seconds:.1f} s. To run it: slipway up --refresh {stack}"
        )
        return StackResult(
            stack=stack,
            verb="up",
            changes={"same": found.count},
            seconds=follow.seconds,
            outputs=found.outputs,
            warnings=tuple(dict.fromkeys([*rendered.messages, *follow.warnings])),
        )

    def preview(self, stack: str) -> StackResult:
        """Finds out what `up` would change; changes nothing."""
        steps = Steps()

        def run(session: Session, follow: EngineProgress) -> dict[str, Any]:
            def hear(event: EngineEvent) -> None:
                follow.on_event(event)
                steps.on_event(event)

            session.stack.preview(on_event=hear)
            return {}

        result = self._run("preview", stack, run)
        return replace(result, verdicts=steps.verdicts)

    def refresh(self, stack: str) -> StackResult:
        """Reads the real resources anew into the state."""

        def run(session: Session, follow: EngineProgress) -> dict[str, Any]:
            self._recover(stack, session)
            session.stack.refresh(
                on_event=follow.on_event, suppress_outputs=True, show_secrets=False
            )
            return {}

        return self._run("refresh", stack, run)

    def destroy(self, stack: str) -> StackResult:
        """Deletes all resources of the stack; its settings are not looked at."""

        def run(session: Session, follow: EngineProgress) -> dict[str, Any]:
            self._recover(stack, session)
            session.stack.destroy(
                on_event=follow.on_event, suppress_outputs=True, show_secrets=False
            )
            return {}

        return self._run("destroy", stack, run)

    def objects(self, stack: str) -> list[dict[str, Any]]:
        """Kubernetes objects that the engine created, from its state."""
        return [
            resource["outputs"]
            for resource in self.resources(stack)
            if resource["type"].startswith(KUBERNETES) and resource.get("custom")
        ]

    def resources(self, stack: str) -> list[dict[str, Any]]:
        """All resources in the stack's state, in the order of their creation."""
        return self._open(stack).resources()

    def forget(self, environment: str) -> None:
        """Removes the state of `<layer>.<environment>` stacks whose cluster is gone.

        Never that of the layer `cluster`, which lists resources in a cloud account, nor
        that of a stack with resources there: they still exist without the cluster.
        """
        names = [
            f"{layer}.{environment}"
            for layer in layers.IN_CLUSTER
            if workspace.folder(f"{layer}.{environment}").exists()
        ]
        for stack in names:
            # By the engine's copy of the stack's file: the checkout's may be gone.
            kept = Engine(self.console, self.programs, workspace.folder(stack))
            self._clear_locks(stack)
            session = kept._open(stack)
            if any(one["type"].startswith(AWS) for one in session.resources()):
                self._say(f"{stack} is kept, as it has resources in AWS")
                continue
            session.stack.workspace.remove_stack(stack, force=True)
            shutil.rmtree(session.work)

    def _run(
        self,
        verb: str,
        stack: str,
        operation: Callable[[Session, EngineProgress], dict[str, Any]],
    ) -> StackResult:
        expected = None
        references: list[str] = []
        if verb in ("up", "preview"):
            rendered = self.check(stack)
            if stack not in self.programs:
                staged.before(stack, self.root)
            references = rendered.references
            expected = len(rendered.resources) + 1
            if rendered.uses_kubernetes:
                self._ensure_kubernetes()
        follow = EngineProgress(self.console, stack, DOING[verb], expected)
        with follow, interrupts.passed_on(self.console) as signals:
            try:
                self._clear_locks(stack)
                session = self._open(stack)
                self._unmade = sources.unmade(
                    references, session.stack.workspace, session.environment
                )
                if verb == "up":
                    sources.require_made(stack, self._unmade)
                if verb in ("up", "preview") and not self._unmade:
                    self._refuse_foreign(verb, stack, session)
                if expected is None and session.uses_kubernetes():
                    self._ensure_kubernetes()
                outputs = operation(session, follow)
            except CommandError as error:
                raise EngineError(
                    stack,
                    verb,
                    output.once(follow.errors) or [("", output.error_text(error))],
                    changes=output.counts(follow),
                    seconds=follow.seconds,
                    interrupted=signals.received,
                ) from None
            except locks.LockedError as error:
                raise EngineError(stack, verb, [("", str(error))]) from None
            finally:
                self._loops.close()
        if signals.received:  # too late for this stack, in time for those after it
            done = [("", "this stack was finished when the request to stop arrived")]
            raise EngineError(
                stack,
                verb,
                done,
                changes=output.counts(follow),
                seconds=follow.seconds,
                interrupted=True,
            )
        return StackResult(
            stack=stack,
            verb=verb,
            changes=output.counts(follow),
            seconds=follow.seconds,
            outputs=outputs,
            steps=tuple(follow.steps),
            warnings=tuple(dict.fromkeys(follow.warnings)),
        )

    def _find(self) -> pulumi_cli.PulumiCli:
        if self._cli is None:
            with progress.packages(self.console) as report:
                self._cli = pulumi_cli.find(self._say, report)
        return self._cli

    def _ensure_kubernetes(self) -> None:
        with progress.packages(self.console) as report:
            pulumi_cli.ensure_kubernetes(self._find(), self._say, report)

    def _open(self, stack: str) -> Session:
        run = self.programs.get(stack) or layers.program(stack)

        def program() -> None:
            with lookups.unmade(self._unmade):
                run()

        watched = self._loops.watched(program)
        return sessions.open_stack(stack, self._find(), watched, self.root)

    def _clear_locks(self, stack: str) -> None:
        backend = workspace.backend_folder()
        if backend is not None:
            project = stack_files.project_name(self.root)
            locks.clear_stale(backend, project, stack, self._say)
            backend_files.mend(backend, project, stack, self._say)

    def _refuse_foreign(self, verb: str, stack: str, session: Session) -> None:
        rendered = self.check(stack)
        if rendered.uses_kubernetes:
            existing.before(
                verb,
                rendered,
                session.state(),
                lambda: stack_api.of_stack(stack, self.root),
                self._say,
            )
            live_weights.before(
                verb,
                rendered,
                lambda: stack_api.of_stack(stack, self.root),
                self._say,
            )

    def _await_namespaces(self, stack: str) -> bool:
        """Wait for deletions of a killed destroy; return whether there were any."""
        waited, left = stack_api.await_of_stack(
            self.check(stack), self.root, self._waiting(stack)
        )
        if left:
            raise EngineError(stack, "up", left)
        return waited

    def _await_use(self, stack: str, follow: EngineProgress) -> None:
        """Waits until the stack's objects are ready, and reports those that are not."""
        seen = readiness.of_stack(self.check(stack), self.root, self._waiting(stack))
        follow.warnings += seen.warnings
        if seen.missing:
            raise EngineError(
                stack,
                "up",
                [("", text) for text in seen.missing],
                changes=output.counts(follow),
                seconds=follow.seconds,
            )

    def _waiting(self, stack: str) -> Waiting:
        return Waiting(lambda text: self._say(f"{stack}: {text}"))

    def _recover(self, stack: str, session: Session) -> bool:
        """Repairs the state of a killed run, with a refresh; whether there was one."""
        if not workspace.may_have_pending(stack, self.root):
            return False
        state = session.state()
        if not recovery.pending(state):
            return False
        recovered = recovery.recover(state)
        if recovered.unknown:
            how = (
                "its creation was interrupted, and only its provider's own tools can "
                f"tell whether it exists. Check there, then run: cd {session.work} && "
                f"pulumi refresh --stack {stack}, which asks what became of it"
            )
            raise EngineError(stack, "up", [(urn, how) for urn in recovered.unknown])
        recovery.report(recovered, self._say)
        session.replace_state(recovered.state)
        session.refresh()
        state, changed = recovery.with_real_managers(session.state())
        if changed:
            session.replace_state(state)
        return True
