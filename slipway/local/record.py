"""What earlier runs of `slipway local up` took, by kind of run, in the state folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from toolchain import paths, whole_files

COLD = "cold: programs and images were made"
NEW_LAB = "warm: everything built, new lab"
STARTED = "warm: lab started again"
UNCHANGED = "again: nothing to change"
KINDS = (COLD, NEW_LAB, STARTED, UNCHANGED)


@dataclass(frozen=True)
class Run:
    """One run: seconds by phase, when it ended, and how busy the machine was."""

    kind: str
    ended: str
    load_average: float
    cores: int
    seconds: dict[str, float]


def file() -> Path:
    """Return the file with the latest run of each kind."""
    return paths.state() / "local-runs.json"


def kind_of(changes: dict[str, str]) -> str:
    """The kind of a run, by what its phases changed."""
    said = " ".join(changes.values()).strip()
    if not said:
        return UNCHANGED
    if "built" in said or "downloaded" in said:
        return COLD
    return NEW_LAB if "create" in said else STARTED


def load() -> dict[str, Run]:
    """The latest run of each kind; none where no run was recorded."""
    try:
        found = json.loads(file().read_text())
        return {kind: Run(**run) for kind, run in found.items()}
    except (OSError, ValueError, TypeError):
        return {}


def add(phases: Iterable[tuple[str, float, str]]) -> None:
    """Records a run in place of the last one of its kind."""
    done = list(phases)
    run = Run(
        kind=kind_of({name: said for name, _, said in done}),
        ended=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        load_average=round(os.getloadavg()[1], 1),
        cores=os.cpu_count() or 1,
        seconds={name: round(seconds, 1) for name, seconds, _ in done},
    )
    runs = {kind: asdict(r) for kind, r in load().items()} | {run.kind: asdict(run)}
    whole_files.write(file(), json.dumps(runs, indent=1, sort_keys=True))


def table() -> Table:
    """Phases against kinds of run."""
    recorded = load()
    runs = [recorded[kind] for kind in KINDS if kind in recorded]
    shown = Table(title="`make up`, seconds by phase (latest run of each kind here)")
    shown.add_column("phase")
    for run in runs:
        head = f"{run.kind}\n{run.ended}, load {run.load_average} on {run.cores} cores"
        shown.add_column(head, justify="right")
    for phase in dict.fromkeys(phase for run in runs for phase in run.seconds):
        cells = [str(run.seconds.get(phase, "-")) for run in runs]
        shown.add_row(phase, *cells)
    shown.add_row("all", *[f"{sum(run.seconds.values()):.1f}" for run in runs])
    return shown
