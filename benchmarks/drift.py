"""`python -m benchmarks.drift`: the monitor's drift computation against Evidently's.

100,000 rows of 20 features (15 numbers, 5 categories), of which five have drifted, lie
in one parquet file of a monitor's store. Two programs judge it in turns, each in a new
process: the monitor's counts and verdicts, with the reference as bins, and Evidently's
DataDriftPreset, with as many reference rows. Evidently has an environment of its own
in the cache. Reports CPU time of all processes with and without imports, and the most
memory, as ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from toolchain import own_venv, paths

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-evidently.txt"
ROWS = 100_000
NUMBERS, CATEGORIES = 15, 5
LETTERS = np.array(list("abcdefghij"))
AIM_CPU = 30.0
AIM_MEMORY = 0.1
PLANTED = {
    "n0": "mean moved by .25 deviations",
    "n1": "spread half as wide again",
    "n2": "missing in 10 % of the rows, not in 2 %",
    "c0": "one category in 20 % of the rows, not in 10 %",
    "c1": "a new category in 5 % of the rows",
}


@dataclass(frozen=True)
class Cost:
    """Of one process with all below it; `import_` is its start."""

    cpu_seconds: float
    import_cpu_seconds: float
    memory_mib: float
    import_memory_mib: float

    @property
    def work_cpu_seconds(self) -> float:
        return self.cpu_seconds - self.import_cpu_seconds

    @property
    def work_memory_mib(self) -> float:
        return self.memory_mib - self.import_memory_mib


@dataclass
class Tool:
    """One contender: its command, what it cost each round, and what it called."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    costs: list[Cost] = field(default_factory=list)
    called: frozenset[str] = frozenset()

    def run(self) -> None:
        process = subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"} | self.environment,
            text=True,
            cwd=paths.ROOT,
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{self.name} ended with {process.returncode}")
        found = json.loads(said.splitlines()[-1])
        self.called = frozenset(found["drifted"])
        self.costs.append(
            Cost(
                used.ru_utime + used.ru_stime,
                found["import_cpu_seconds"],
                found["memory_mib"],
                found["import_memory_mib"],
            )
        )


def made_up(seed: int, *, drifted: bool) -> pd.DataFrame:
    """Return ROWS rows; 2 % of every third number are missing."""
    chance = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {}
    for place in range(NUMBERS):
        values = chance.normal(size=ROWS) * (place + 1)
        if drifted and place == 0:
            values += 0.25
        if drifted and place == 1:
            values *= 1.5
        if place % 3 == 2:
            share = 0.1 if drifted and place == 2 else 0.02
            values[chance.random(ROWS) < share] = np.nan
        columns[f"n{place}"] = values
    for place in range(CATEGORIES):
        words = chance.choice(LETTERS, ROWS)
        if drifted and place == 0:
            words[chance.random(ROWS) < 0.1 / 0.9] = LETTERS[0]
        if drifted and place == 1:
            words[chance.random(ROWS) < 0.05] = "new"
        columns[f"c{place}"] = words
    return pd.DataFrame(columns)


def make(folder: Path) -> None:
    """Write the reference, its bins, and the window as a store's file."""
    reference = made_up(1, drifted=False)
    reference.to_parquet(folder / "reference.parquet")
    features = {name: _summary(values) for name, values in reference.items()}
    content = {"rows": ROWS, "features": features}
    (folder / "reference.json").write_text(json.dumps(content))
    window = made_up(2, drifted=True)
    window["id"] = [f"request-{number}" for number in range(ROWS)]
    window["decision"] = "0"
    window.to_parquet(folder / "window.parquet")
    command = [sys.executable, "-m", "benchmarks.drift_monitor", "import", str(folder)]
    subprocess.run(command, check=True, env=_own_environment(), cwd=paths.ROOT)


def _summary(values: pd.Series) -> dict[str, object]:
    missing = int(values.isna().sum())
    if values.dtype != np.float64:
        shares = values.value_counts().sort_index()
        return {"categories": shares.to_dict(), "missing": missing}
    known = values.dropna().to_numpy()
    edges = np.quantile(known, np.linspace(0, 1, 21))
    counts = np.histogram(known, edges)[0].tolist()
    return {
        "histogram": {"edges": edges.tolist(), "counts": counts},
        "missing": missing,
    }


def _own_environment() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{paths.ROOT}:{paths.ROOT / 'images/model_monitor'}",
    }


def tools(folder: Path) -> list[Tool]:
    """Ours first."""
    ours = [sys.executable, "-m", "benchmarks.drift_monitor", "judge", str(folder)]
    python, program = own_venv.python(REQUIREMENTS), HERE / "drift_evidently.py"
    theirs = [str(python), str(program), str(folder)]
    quiet = {"DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore"}
    return [
        Tool("monitor", ours, _own_environment()),
        Tool("Evidently", [*theirs, "default"], quiet),
        Tool("Evidently, PSI and chi-squared", [*theirs, "binned"], quiet),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 51))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="slipway-drift-") as name:
        folder = Path(name)
        make(folder)
        contenders = tools(folder)
        for _ in range(options.rounds):
            for tool in contenders:
                tool.run()
    return report(contenders)


def report(contenders: Sequence[Tool]) -> int:
    """Print tables and aims; return 1 if one is missed."""
    print(
        f"{'':32}{'CPU s':>8}{'imports':>9}{'work':>8}{'MiB':>6}{'imports':>9}"
        f"{'work':>6}"
    )
    for it in contenders:
        print(
            f"{it.name:32}{_median(it, lambda c: c.cpu_seconds):>8.2f}"
            f"{_median(it, lambda c: c.import_cpu_seconds):>9.2f}"
            f"{_median(it, lambda c: c.work_cpu_seconds):>8.2f}"
            f"{_median(it, lambda c: c.memory_mib):>6.0f}"
            f"{_median(it, lambda c: c.import_memory_mib):>9.0f}"
            f"{_median(it, lambda c: c.work_memory_mib):>6.0f}"
        )
    ours, evidently, _ = contenders
    for it in contenders[1:]:
        print(f"\ntimes the monitor's (spread): {it.name}")
        for meaning, cost in (
            ("CPU time", lambda c: c.cpu_seconds),
            ("CPU time without imports", lambda c: c.work_cpu_seconds),
            ("most memory", lambda c: c.memory_mib),
            ("most memory beyond imports", lambda c: c.work_memory_mib),
        ):
            low, middle, high = _ratios(it, ours, cost)
            print(f"  {meaning:28}{middle:>7.1f} ({low:.1f} to {high:.1f})")
    _print_drift(contenders)
    quicker = _ratios(evidently, ours, lambda c: c.work_cpu_seconds)[1]
    smaller = 1 / _ratios(evidently, ours, lambda c: c.memory_mib)[1]
    aims = [
        ("without imports at least 30 times as quick", quicker, quicker >= AIM_CPU),
        ("at most a tenth of the memory", smaller, smaller <= AIM_MEMORY),
    ]
    for meaning, value, is_kept in aims:
        print(f"aim: {meaning}: {value:.2f} {'kept' if is_kept else 'MISSED'}")
    return 0 if all(is_kept for _, _, is_kept in aims) else 1


def _print_drift(contenders: Sequence[Tool]) -> None:
    print()
    for it in contenders:
        print(f"{it.name}: drift of {', '.join(sorted(it.called)) or 'nothing'}")
        for name in sorted(PLANTED.keys() - it.called):
            print(f"  missed {name}: {PLANTED[name]}")
        for name in sorted(it.called - PLANTED.keys()):
            print(f"  called {name}, which has none")


def _median(tool: Tool, value: Callable[[Cost], float]) -> float:
    return statistics.median(map(value, tool.costs))


def _ratios(
    above: Tool, below: Tool, value: Callable[[Cost], float]
) -> tuple[float, float, float]:
    """Return the least, the median and the greatest ratio of the rounds."""
    found = sorted(
        value(a) / value(b) for a, b in zip(above.costs, below.costs, strict=True)
    )
    return found[0], statistics.median(found), found[-1]


if __name__ == "__main__":
    sys.exit(main())
