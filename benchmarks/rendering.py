"""`python -m benchmarks.rendering REVISION`: what rendering many models costs.

Renders stacks of plain models and writes their manifests, by the code of this checkout
and by that of a revision, in turns and each in a process of its own. Then makes the
report of `slipway compare` on one changed model of the smaller stack, by both as well,
and renders one side of it alone; `--reports` leaves out all else. Reports CPU time of
all processes, wall time, the memory of all processes together and of the largest one,
and how the CPU time grows with the number of models. The aim for memory is about all
processes together.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import yaml

from benchmarks import rendering_child
from benchmarks.programs import revision
from toolchain import paths

CHILD = Path(__file__).with_name("rendering_child.py")
SIZES = (100, 1000)
AIM_CPU, AIM_WALL, AIM_MEMORY = 0.5, 0.3, 0.4
"""Times what the revision takes, for the larger stack."""
AIM_REPORT = 1.5
"""Times the CPU time of rendering one side."""
AIM_GROWTH = 1.05
SOURCES = (
    "components",
    "policies",
    "slipway",
    "stacks",
    "toolchain",
    "images",
    "Pulumi.yaml",
)


@dataclass(frozen=True)
class Cost:
    """Of one process with all below it."""

    cpu_seconds: float
    work_cpu_seconds: float
    """Without its imports."""
    wall_seconds: float
    memory_mib: float
    """Most of all processes together (proportional set size), seen ten times a second,
    or most of the largest one if that is more."""
    largest_mib: float
    """Most of the largest process."""


@dataclass
class Found:
    """Costs of both by number of models; of one side, our report and theirs."""

    ours: dict[int, list[Cost]] = field(default_factory=dict)
    theirs: dict[int, list[Cost]] = field(default_factory=dict)
    reports: list[tuple[Cost, Cost, Cost]] = field(default_factory=list)


def measure(checkout: Path, *words: str) -> Cost:
    """Runs the child with a checkout's code."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(CHILD), *words],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        cwd=checkout,
        text=True,
    )
    assert process.stdout is not None
    with Watch(process.pid) as watch:
        said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words} in {checkout} ended with {process.returncode}")
    cpu = used.ru_utime + used.ru_stime
    work = cpu - json.loads(said.splitlines()[-1])["cpu_before"]
    largest = used.ru_maxrss / 1024
    return Cost(cpu, work, wall, max(watch.most_mib, largest), largest)


class Watch:
    """Looks at the memory of a process with all below it while it runs."""

    def __init__(self, pid: int) -> None:
        self.most_mib = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            self.most_mib = max(self.most_mib, sum(map(_pss_mib, below(self._pid))))


def below(pid: int) -> Iterator[int]:
    """The process and all that it has started and that are there."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from below(int(child))


def _pss_mib(pid: int) -> float:
    """Its memory, with its part of what it shares with others; 0 once it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def sides(folder: Path, number: int) -> list[Path]:
    """Two checkouts with that many models, of which one may have more replicas."""
    found = []
    without = shutil.ignore_patterns("__pycache__")
    for name, replicas in (("base", 6), ("head", 9)):
        root = folder / name
        root.mkdir()
        for source in (paths.ROOT / one for one in SOURCES):
            if source.is_dir():
                shutil.copytree(source, root / source.name, ignore=without)
            else:
                shutil.copy(source, root)
        file = root / f"stacks/config/Pulumi.{rendering_child.STACK}.yaml"
        models = rendering_child.models(number, replicas)
        file.write_text(yaml.safe_dump({"config": {"slipway:models": models}}))
        found.append(root)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rendering", description=__doc__
    )
    parser.add_argument("revision", help="what to compare with: a commit, a tag")
    parser.add_argument("--rounds", type=int, default=1, choices=range(1, 21))
    parser.add_argument("--models", type=int, nargs=2, default=SIZES)
    parser.add_argument("--reports", action="store_true", help="only the reports")
    options = parser.parse_args(arguments)
    small, large = options.models
    found = Found()
    with (
        revision(options.revision) as there,
        tempfile.TemporaryDirectory(prefix="slipway-rendering-") as folder,
    ):
        base, head = map(str, sides(Path(folder), small))
        checkouts = {options.revision: there, "this checkout": paths.ROOT}
        for _ in range(options.rounds):
            for number in () if options.reports else (small, large):
                for name, checkout in checkouts.items():
                    cost = measure(checkout, "render", str(number))
                    costs = found.ours if checkout == paths.ROOT else found.theirs
                    costs.setdefault(number, []).append(cost)
                    _print_cost(f"{name}, {number} models", cost)
            one = measure(paths.ROOT, "side", base)
            theirs = measure(there, "report", base, head)
            ours = measure(paths.ROOT, "report", base, head)
            _print_cost(f"one side, {small} models", one)
            _print_cost(f"report by {options.revision}", theirs)
            _print_cost("report by this checkout", ours)
            found.reports.append((one, ours, theirs))
    return aims(found, small, large)


def _print_cost(name: str, cost: Cost) -> None:
    print(
        f"{name:30}{cost.cpu_seconds:7.1f} CPU s{cost.wall_seconds:7.1f} s"
        f"{cost.memory_mib:7.0f} MiB (largest {cost.largest_mib:.0f})",
        flush=True,
    )


def aims(of: Found, small: int, large: int) -> int:
    """Prints the ratios; 1 if an aim is missed."""
    found = _of_renderings(of, small, large) if of.ours else []
    ratios = [
        (ours.cpu_seconds / one.cpu_seconds, theirs.cpu_seconds / one.cpu_seconds)
        for one, ours, theirs in of.reports
    ]
    before = statistics.median(theirs for _, theirs in ratios)
    print(f"report of the revision, times the CPU time of one side: {before:.2f}")
    about = "report, times the CPU time of one side"
    found.append((about, [ours for ours, _ in ratios], AIM_REPORT))
    missed = 0
    for name, values, aim in found:
        value = statistics.median(values)
        missed += value > aim
        kept = "MISSED" if value > aim else "kept"
        print(f"aim: {name}: {value:.2f}, at most {aim}: {kept}")
    return 1 if missed else 0


_Aim = tuple[str, list[float], float]
"""Its name, what was measured, and the most that it may be."""


def _of_renderings(of: Found, small: int, large: int) -> list[_Aim]:
    pairs = list(zip(of.ours[large], of.theirs[large], strict=True))
    growth = [
        math.log(after.work_cpu_seconds / before.work_cpu_seconds, large / small)
        for before, after in zip(of.ours[small], of.ours[large], strict=True)
    ]
    return [
        ("CPU time", [a.cpu_seconds / b.cpu_seconds for a, b in pairs], AIM_CPU),
        ("wall time", [a.wall_seconds / b.wall_seconds for a, b in pairs], AIM_WALL),
        ("memory", [a.memory_mib / b.memory_mib for a, b in pairs], AIM_MEMORY),
        ("exponent of growth", growth, AIM_GROWTH),
    ]


if __name__ == "__main__":
    sys.exit(main())
