"""What wrong labels do to a gate of accuracy, by seeded simulation.

    python -m benchmarks.rollout_noise

1,000 labels an hour for a week, a tenth of them the canary's; stable is wrong in 15 %
of the predictions, and 2 points are tolerated. Some labels are wrong, of both revisions
alike: a right decision then counts as wrong, and a wrong one as right, so that a
difference shrinks to 1 - 2 p of itself where p of the labels are wrong. The gate is the
program's own (images/rollout), as one of four, looks every hour, and needs 30 cohorts.
"Stated" tolerates the 2 points, "shrunk" 1 - 2 p of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks import rollout_tables as tables
from benchmarks.rollout_cohorts import Ends, ends
from benchmarks.rollout_contenders import ACCURACY, GATES
from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "rollout"))

from rollout.counts import Interval, Tally
from rollout.gate import Call, Limits, Sums
from rollout.settings import ErrorsAllowed

SEED, RUNS = 20261201, 400
HOURS, LEAST = 168, 30
CANARY, STABLE = 100, 900
BASE = 0.15
WRONG_LABELS = (0.0, 0.05, 0.1, 0.2)
WORSE = (0.0, 0.02, 0.03)


def run(
    chance: np.random.Generator, worse: float, wrong: float, *, shrunk: bool
) -> tuple[int, int]:
    """One week: 1 promoted, -1 rolled back or 0 neither, and after which hour."""
    left = 1 - 2 * wrong
    gate = replace(ACCURACY, tolerate=ACCURACY.tolerate * (left if shrunk else 1))
    sums, limits = Sums(gate), Limits.of(ErrorsAllowed(), GATES)
    seen = [wrong + left * share for share in (BASE + worse, BASE)]
    bad = zip(
        chance.binomial(CANARY, seen[0], HOURS).tolist(),
        chance.binomial(STABLE, seen[1], HOURS).tolist(),
        strict=True,
    )
    for hour, (canary, stable) in enumerate(bad):
        sums.add(Interval(hour, Tally(CANARY, canary), Tally(STABLE, stable)))
        call = sums.judge(limits, LEAST).call
        if outcome := {Call.PROMOTE: 1, Call.ROLLBACK: -1}.get(call, 0):
            return outcome, hour + 1
    return 0, HOURS


def rows(count: int, seed: int) -> Iterator[tuple[str, float, float, Ends]]:
    """What is tolerated, share of wrong labels, by how much it is worse, and ends."""
    for name, shrunk in (("stated", False), ("shrunk", True)):
        for wrong in WRONG_LABELS if not shrunk else WRONG_LABELS[1:]:
            for worse in WORSE:

                def one(
                    chance: np.random.Generator,
                    worse: float = worse,
                    wrong: float = wrong,
                    shrunk: bool = shrunk,
                ) -> tuple[int, int]:
                    return run(chance, worse, wrong, shrunk=shrunk)

                yield name, wrong, worse, ends(one, count, seed)


def main(arguments: Sequence[str] | None = None) -> int:
    options = tables.asked("benchmarks.rollout_noise", __doc__, (RUNS, SEED), arguments)
    print(tables.row("tolerated", "wrong labels", "points worse", "back", "on"))
    print("|---|---|---|---|---|")
    for name, wrong, worse, found in rows(options.runs, options.seed):
        shares = (tables.share(found.share(it)) for it in (-1, 1))
        cells = (name, f"{wrong * 100:g} %", f"{worse * 100:g}", *shares)
        print(tables.row(*cells), flush=True)
    print(f"\n{options}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
