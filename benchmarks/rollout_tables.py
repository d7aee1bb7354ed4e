"""What the commands share that print tables of simulated rollouts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


def row(*cells: object) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(str(it) for it in cells)} |"


def share(found: float) -> str:
    """A share of runs, such as .043."""
    return f"{found:.3f}".removeprefix("0")


@dataclass(frozen=True)
class Asked:
    """What a command was asked for, and since when it runs."""

    runs: int
    seed: int
    unit: str
    """What has so many runs: a row or a cell."""
    began: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        spent = time.monotonic() - self.began
        return f"{self.runs} runs a {self.unit}, seed {self.seed}, {spent:.0f} s"


def asked(
    module: str,
    description: str | None,
    defaults: tuple[int, int],
    arguments: Sequence[str] | None = None,
    *,
    unit: str = "row",
) -> Asked:
    """Read the command line of `python -m module`; `defaults`: runs and seed."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    runs, seed = defaults
    parser.add_argument("--runs", type=int, default=runs, help=f"of each {unit}")
    parser.add_argument("--seed", type=int, default=seed)
    options = parser.parse_args(arguments)
    return Asked(options.runs, options.seed, unit)
