"""Reads the real resources of a stack through the engine, and changes nothing.

That is `pulumi refresh --preview-only`. It takes no lock and writes no state, so it can
run beside an update. A stack without state is not given one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pulumi.automation.errors import CommandError, StackNotFoundError
from pulumi.automation.events import EngineEvent, StepEventMetadata
from rich.console import Console

from slipway import progress
from slipway.engine import interrupts, output, pulumi_cli, sessions, workspace
from slipway.engine.results import EngineError
from slipway.engine.sessions import Session
from slipway.engine.steps import Steps
from slipway.progress import EngineProgress

VERB = "drift"


@dataclass(frozen=True)
class Reading:
    """The result of a read by the engine."""

    steps: tuple[StepEventMetadata, ...]
    """One per resource; its operation would make the state match the resource."""
    warnings: tuple[str, ...]


def read(stack: str, console: Console, root: Path | None = None) -> Reading:
    """Read all resources of the stack's state; EngineError if one cannot be read."""
    steps = Steps()
    follow = EngineProgress(console, stack, progress.REFRESHING)

    def hear(event: EngineEvent) -> None:
        follow.on_event(event)
        steps.on_event(event)

    with follow, interrupts.passed_on(console) as signals:
        try:
            session = _open(stack, console, root)
            session.stack.preview_refresh(on_event=hear, suppress_outputs=True)
        except StackNotFoundError:
            text = f"{workspace.backend_url()} has no state of it (PULUMI_BACKEND_URL)"
            raise EngineError(
                stack, VERB, [("", text)], interrupted=signals.received
            ) from None
        except CommandError as error:
            raise EngineError(
                stack,
                VERB,
                output.once(follow.errors) or [("", output.error_text(error))],
                seconds=follow.seconds,
                interrupted=signals.received,
            ) from None
    if signals.received:  # too late for this stack, but not for the next ones
        done = [("", "this stack was read when the request to stop arrived")]
        raise EngineError(stack, VERB, done, seconds=follow.seconds, interrupted=True)
    return Reading(tuple(steps.of_providers), tuple(dict.fromkeys(follow.warnings)))


def _open(stack: str, console: Console, root: Path | None) -> Session:
    """Return the existing stack, with the provider that its state needs."""
    with progress.packages(console) as report:

        def say(text: str) -> None:
            progress.say(console, text)

        cli = pulumi_cli.find(say, report)
        session = sessions.open_existing(stack, cli, root)
        if session.uses_kubernetes():
            pulumi_cli.ensure_kubernetes(cli, say, report)
    return session
