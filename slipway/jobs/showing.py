"""Common parts of the commands about runs: options, and following a run to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

from components.training.settings import JobsSettings
from slipway import printable, stack_settings
from slipway.cluster.kube_api import KubeApiError
from slipway.engine import stack_api
from slipway.jobs.following import Event, Following
from slipway.jobs.runs import Runs
from slipway.jobs.state import State
from slipway.logs.line import Line
from toolchain.errors import INTERRUPTED

STACK = "jobs.lab"
stack_option = click.option(
    "--stack", default=STACK, show_default=True, metavar="STACK"
)


class Followed(Protocol):
    """A run; iterating gives what happens, and ends when the run has ended."""

    end: State | None
    """The last state, once the run has ended."""

    def __iter__(self) -> Iterator[Event]: ...


@contextmanager
def opened(stack: str) -> Iterator[tuple[JobsSettings, Runs]]:
    """The stack's settings and runs; a ClickException says why there are none."""
    settings = stack_settings.load(stack, JobsSettings)
    try:
        with stack_api.of_stack(stack) as api:
            yield settings, Runs(api, settings.namespace)
    except KubeApiError as error:
        raise click.ClickException(printable.printable(error)) from None


def follow(runs: Runs, run: str, stack: str) -> int:
    """Shows a run in the cluster until it has ended; its exit status."""
    return shown(Following(runs, run), run, stack)


def shown(following: Followed, run: str, stack: str) -> int:
    """Shows a run until it has ended; its exit status.

    An interrupt does not stop the run; the command to follow it again is printed.
    """
    try:
        for event in following:
            _show(run, event)
    except KeyboardInterrupt:
        say(f"{run} goes on. {how_to_follow(run, stack)}")
        say(f"To stop it: slipway jobs stop {run} --stack {stack}")
        return INTERRUPTED
    return following.end.exit_status or 0 if following.end else 1


def how_to_follow(run: str, stack: str) -> str:
    """Return the command to follow the run."""
    return f"To follow it: slipway jobs follow {run} --stack {stack}"


def say(text: object) -> None:
    """Print to standard error: standard output has only the workers' lines."""
    click.echo(printable.lines(str(text)), err=True)


def _show(run: str, event: Line | State | KubeApiError) -> None:
    if isinstance(event, Line):
        click.echo(event.shown())
    elif isinstance(event, State):
        say(f"{run} {event.text}")
    else:
        say(f"note: {event}")
