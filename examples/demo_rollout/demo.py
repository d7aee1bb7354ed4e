"""A good revision is promoted and a bad one is taken back, while callers call."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live as Picture
from rich.table import Table
from rich.text import Text
from rollout import record
from rollout.objects import Names
from rollout.status import Phase

from components import naming
from examples.demo_rollout.callers import Callers
from examples.demo_rollout.failing_pod import failing
from examples.demo_rollout.lab_stack import LabStack
from examples.demo_rollout.stack import (
    MODEL,
    PREFIX,
    SERVER,
    STACK,
    Pair,
    settings,
)
from slipway.engine import stack_api
from slipway.images.models import real_rows
from slipway.rollouts import show
from slipway.rollouts.live import Live, State
from toolchain.errors import OperatorError

GOOD, BAD = Pair("monday", "tuesday"), Pair("tuesday", "wednesday")
LOOK_SECONDS = 1.0
LEAST_SECONDS = 240.0
"""Bound of one rollout; more with longer intervals."""
INTERVALS = 30
"""In which a rollout has ended, however long each is."""


@dataclass(frozen=True)
class Result:
    """How one rollout ended."""

    pair: Pair
    wanted: Phase
    phase: Phase | None
    seconds: float
    """From the new settings to the end."""
    answers: int
    failures: dict[str, int]
    differences: list[str]
    """What the record of the last decision says otherwise than it computes to."""

    @property
    def is_expected(self) -> bool:
        """Whether it ended as it should, and callers met the failing pod alone."""
        allowed = {"500"} if self.wanted is Phase.BACK else set()
        is_right = self.phase is self.wanted and not self.differences
        return is_right and set(self.failures) <= allowed


def run(console: Console, gateway: str, folder: Path, interval: int) -> list[Result]:
    """Roll out both revisions in the lab; the stack is destroyed at the end.

    gateway: URL of the lab's gateway; folder: for the stack's files; interval: seconds
    between two looks at the counts. Raises OperatorError.
    """
    stack = LabStack(STACK, folder)
    body = _request()

    def callers() -> Callers:
        return Callers(f"{gateway}{PREFIX}/infer", body)

    try:
        console.rule("A good revision")
        stack.up(**settings(GOOD, ["monday", "tuesday"], interval))
        results = [_roll(console, folder, callers(), GOOD, interval)]
        console.rule("A revision that fails 2 % of its requests")
        names = ["monday", "tuesday", "wednesday"]
        stack.up(**settings(BAD, names, interval))
        results += [_roll(console, folder, callers(), BAD, interval)]
        return results
    finally:
        console.print("destroying the demo's stack")
        stack.down()


def _request() -> bytes:
    rows, _ = real_rows(MODEL, 1)
    values = [float(value) for value in rows.ravel()]
    tensor = {"name": "input", "datatype": "FP32", "shape": list(rows.shape)}
    return json.dumps({"inputs": [tensor | {"data": values}]}).encode()


@contextmanager
def _opened(root: Path) -> Iterator[Live]:
    with stack_api.of_stack(STACK, root) as api:
        yield Live(api, Names(naming.MODELS_NAMESPACE, SERVER))


def _roll(
    console: Console, root: Path, callers: Callers, pair: Pair, interval: int
) -> Result:
    """Watch one rollout to its end."""
    wanted = Phase.BACK if pair is BAD else Phase.PROMOTED
    began = time.monotonic()
    with _opened(root) as live, callers:
        bad = failing(live.api, pair.canary) if pair is BAD else nullcontext()
        with bad, Picture(console=console, auto_refresh=False) as picture:
            end = began + max(LEAST_SECONDS, INTERVALS * interval)
            phase = None
            while phase in (None, Phase.RUNNING) and time.monotonic() < end:
                state = live.state()
                phase = _phase(state, pair)
                picture.update(_picture(state, callers), refresh=True)
                time.sleep(LOOK_SECONDS)
        entries = live.entries()
        seconds = time.monotonic() - began
    differences = record.recompute(entries[-1])[1] if entries else ["no decision"]
    return Result(
        pair,
        wanted,
        phase,
        seconds,
        callers.answers.total(),
        dict(callers.failures),
        [str(it) for it in differences],
    )


def _phase(state: State, pair: Pair) -> Phase | None:
    status = state.status
    is_ours = status is not None and status.is_of(pair.stable, pair.canary)
    return status.phase if status is not None and is_ours else None


def _picture(state: State, callers: Callers) -> Text:
    """What `slipway rollout status` prints, and what the callers met."""
    answers = ", ".join(f"{name} {n}" for name, n in sorted(callers.answers.items()))
    failures = ", ".join(f"{name} {n}" for name, n in sorted(callers.failures.items()))
    said = [*show.lines(state), f"  callers: {answers}; failed: {failures or 'none'}"]
    return Text("\n".join(said))


def table(results: list[Result]) -> Table:
    """Return one row for each rollout."""
    found = Table("rollout", "ended as", "after", "answers", "failed", "decision")
    for one in results:
        failed = ", ".join(f"{n} with {name}" for name, n in one.failures.items())
        found.add_row(
            f"{one.pair.stable} -> {one.pair.canary}",
            one.phase.value if one.phase else "not ended",
            f"{one.seconds:.0f} s",
            f"{one.answers:,}",
            failed or "none",
            "recomputed from its record" if not one.differences else "differs",
        )
    return found


def check_lab(gateway: str) -> None:
    """Raise OperatorError if the lab does not answer."""
    import httpx

    try:
        httpx.get(gateway, timeout=5)
    except httpx.TransportError as error:
        raise OperatorError(
            f"the lab's gateway {gateway} does not answer ({error}); run `make up`"
        ) from None
