"""Shows long work as it happens: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from pulumi.automation.events import EngineEvent, StepEventMetadata
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.spinner import Spinner
from rich.text import Text

from toolchain import build_times, builds

PREVIEWING = "previewing"
REFRESHING = "refreshing"
SHOWN_AT_ONCE = 3
REFRESH_PER_SECOND = 8
PLAIN_LINE_SECONDS = 15.0

OPERATIONS = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "same": "same",
    "replace": "replace",
    "create-replacement": "replace",
    "import": "create",
    "import-replacement": "replace",
}
"""The engine's operations by their meaning for a reader; others are not counted."""

COUNTED = ("create", "update", "replace", "delete", "same")
DOING = {
    "create": "creating",
    "update": "updating",
    "replace": "replacing",
    "delete": "deleting",
    "delete-replaced": "deleting",
    "create-replacement": "replacing",
    "refresh": "reading",
    "read": "reading",
}

_COLOR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")


def clean(text: str) -> str:
    """The engine's text without its colour marks."""
    return _COLOR.sub("", text).strip()


def label(urn: str) -> str:
    """A resource as people call it: kind and name, such as `Deployment employment`."""
    parts = urn.split("::")
    if len(parts) < 4:
        return urn
    return f"{parts[2].split('$')[-1].split(':')[-1]} {parts[3]}"


def say(console: Console, text: str) -> None:
    """Prints a line as it is: brackets are not markup, long lines are not cut."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Step:
    """One change that was made, or that a preview found."""

    operation: str
    urn: str
    keys: tuple[str, ...] = ()
    """Paths of the properties that change."""


@dataclass
class EngineProgress:
    """Follows one run of the engine: what it does now, what it did, what went wrong."""

    console: Console
    stack: str
    doing: str
    """Verb of the run for the reader: `updating`, `previewing`."""
    expected: int | None = None
    """Number of the stack's resources, if known."""
    steps: list[Step] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    """Resource (or nothing) and what went wrong."""
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start = time.monotonic()
        self._done: dict[str, str] = {}
        self._running: dict[str, tuple[str, float]] = {}
        self._status: dict[str, str] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._reading: set[str] = set()
        self._lock = threading.Lock()
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(
                console=self.console,
                get_renderable=self._render,
                refresh_per_second=REFRESH_PER_SECOND,
                transient=True,
            )
            self._live.start()
        else:
            say(self.console, f"{self.stack}: {self.doing} ...")
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    @property
    def counts(self) -> Counter[str]:
        """Resources by operation, including unchanged ones."""
        return Counter(self._done.values())

    def on_event(self, event: EngineEvent) -> None:
        """Takes one event of the engine; called from other threads."""
        with self._lock:
            if event.resource_pre_event:
                self._begin(event.resource_pre_event.metadata)
            elif event.res_outputs_event:
                self._end(event.res_outputs_event.metadata)
            elif event.res_op_failed_event:
                self._running.pop(event.res_op_failed_event.metadata.urn, None)
            elif event.diagnostic_event:
                self._diagnose(event.diagnostic_event)

    def _begin(self, step: StepEventMetadata) -> None:
        if step.op.value == "refresh":
            self._reading.add(step.urn)
        else:
            self._reading.discard(step.urn)
        if keys := step.detailed_diff or step.diffs:
            self._keys[step.urn] = tuple(sorted(keys))
        if step.op.value in DOING:
            self._running[step.urn] = (step.op.value, time.monotonic())

    def _end(self, step: StepEventMetadata) -> None:
        self._status.pop(step.urn, None)
        began = self._running.pop(step.urn, None)
        if step.urn in self._reading and self.doing != REFRESHING:
            return  # others' changes are reported; changing them back is a later step
        operation = OPERATIONS.get(step.op.value)
        if operation is None or step.op.value == "create-replacement":
            return  # a replacement is reported by its `replace` step
        # A preview reports all steps twice.
        reported = self._done.get(step.urn) == operation
        self._done[step.urn] = operation
        if operation == "same" or reported:
            return
        self.steps.append(Step(operation, step.urn, self._keys.get(step.urn, ())))
        # A preview's changes are its result, which is printed in the end.
        if not self.console.is_terminal and self.doing != PREVIEWING:
            took = f" ({time.monotonic() - began[1]:.1f} s)" if began else ""
            say(self.console, f"  {operation} {label(step.urn)}{took}")

    def _diagnose(self, event: Any) -> None:
        message = clean(event.message)
        if event.severity == "error" and message:
            self.errors.append((event.urn or "", message))
        elif event.severity == "warning" and message:
            self.warnings.append(message)
        elif event.ephemeral and event.urn:
            self._status[event.urn] = message

    def _render(self) -> Spinner:
        with self._lock:
            done = len(self._done)
            of = f" of {max(self.expected, done)}" if self.expected else ""
            running = sorted(self._running.items(), key=lambda item: item[1][1])
            lines = [f"{self.stack}  {self.doing}  {done}{of}  {self.seconds:.0f} s"]
            for urn, (operation, began) in running[:SHOWN_AT_ONCE]:
                seconds = time.monotonic() - began
                status = self._status.get(urn, "")
                lines.append(
                    f"    {DOING[operation]} {label(urn)} {seconds:.0f} s  {status}"
                )
            if len(running) > SHOWN_AT_ONCE:
                lines.append(f"    and {len(running) - SHOWN_AT_ONCE} more")
        text = Text("\n".join(lines), overflow="ellipsis", no_wrap=True)
        self._spinner.update(text=text)
        return self._spinner


@contextmanager
def packages(console: Console | None = None) -> Iterator[builds.Report]:
    """Yields a reporter of the builds' progress and the time left for all of them."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        columns = ("{task.description}", BarColumn(), MofNCompleteColumn())
        last = TextColumn("{task.fields[left]}")
        with Bars(*columns, TimeElapsedColumn(), last, console=console) as bars:
            tasks: dict[str, Any] = {}

            def show(group: str, done: int, total: int, left: float | None) -> None:
                if group not in tasks:
                    tasks[group] = bars.add_task(group, total=total, left="")
                said = _left(left) if done < total else ""
                bars.update(tasks[group], completed=done, total=total, left=said)

            yield show
        return
    said: dict[str, float] = {}

    def tell(group: str, done: int, total: int, left: float | None) -> None:
        now = time.monotonic()
        last = said.get(group)
        if last is None or now - last > PLAIN_LINE_SECONDS or done == total:
            said[group] = now
            then = f", {_left(left)}" if _left(left) else ""
            say(console, f"  {group}: {done} of {total} packages compiled{then}")

    yield tell


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"about {build_times.said(seconds)} left"
