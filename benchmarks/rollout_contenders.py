"""Who judges in benchmarks.rollout_errors: images/rollout's gate, and the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks import rollout_rivals as rivals
from benchmarks.rollout_rivals import Ends, Runs
from benchmarks.rollout_scenarios import Scenario
from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "rollout"))

from rollout.counts import Interval, Tally
from rollout.gate import Call, Limits, Sums
from rollout.settings import ErrorsAllowed, Gate, RollbackWhen

GATES = 4
ERRORS = Gate("errors", 0.005)
ACCURACY = Gate("accuracy", 0.02, RollbackWhen.WORSE_THAN_TOLERATED)
PAIRED = Gate("accuracy", 0.02, RollbackWhen.WORSE_THAN_TOLERATED, paired=True)


@dataclass(frozen=True)
class Contender:
    """A way to judge, which may promote after `least` looks."""

    name: str
    least: int
    judge: Callable[[Runs, int], Ends]
    own_weights: bool = False
    """It sets the canary's weight itself, so that it cannot be given another's ramp."""
    paired: bool = False
    """It sees both answers to each request."""

    def cells(self, scenario: Scenario, count: int, seed: int) -> list[Ends]:
        """How the runs end, by load; all contenders see the same draws."""
        draw = scenario.pairs if self.paired else scenario.runs
        return [
            self.judge(
                draw(load, count, _chance(scenario, load, seed)),
                max(self.least, scenario.no_promotion),
            )
            for load in scenario.loads
        ]


def _chance(scenario: Scenario, load: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, load, *scenario.name.encode()])


def ours(runs: Runs, gate: Gate, *, least: int, gates: int = GATES) -> Ends:
    """The gate of images/rollout, asked after each interval as the controller asks."""
    limits = Limits.of(ErrorsAllowed(), gates)
    outcome, ended = [], []
    for canary_bad, stable_bad in zip(
        runs.canary_bad.tolist(), runs.stable_bad.tolist(), strict=True
    ):
        counts = zip(
            runs.canary.tolist(),
            canary_bad,
            runs.stable.tolist(),
            stable_bad,
            strict=True,
        )
        result, after = _one(counts, Sums(gate), limits, least)
        outcome.append(result)
        ended.append(after)
    return Ends(np.array(outcome), np.array(ended))


def _one(
    counts: Iterable[tuple[int, int, int, int]], sums: Sums, limits: Limits, least: int
) -> tuple[int, int]:
    after = 0
    for n1, x1, n0, x0 in counts:
        sums.add(Interval(after, Tally(n1, x1), Tally(n0, x0)))
        after += 1
        call = sums.judge(limits, least).call
        if call is not Call.HOLD:
            return (1 if call is Call.PROMOTE else -1), after
    return 0, after


def _sequence(margin: float) -> Callable[[Runs, int], Ends]:
    return lambda runs, least: rivals.pooled_sequence(runs, margin, least=least)


def _gate(gate: Gate) -> Callable[[Runs, int], Ends]:
    return lambda runs, least: ours(runs, gate, least=least)


OF_ERRORS = (
    Contender("z-test", 60, lambda runs, n: rivals.z_test(runs, least=n)),
    Contender("z-test", 10, lambda runs, n: rivals.z_test(runs, least=n)),
    Contender(
        "threshold", 10, lambda runs, _: rivals.threshold(runs), own_weights=True
    ),
    Contender("pooled sequence", 10, _sequence(ERRORS.tolerate)),
    Contender(
        "sequence within intervals",
        10,
        lambda runs, n: rivals.stratified_sequence(runs, ERRORS.tolerate, least=n),
    ),
    Contender(
        "culprit", 10, lambda runs, n: rivals.culprit(runs, ERRORS.tolerate, least=n)
    ),
    Contender("ours", 10, _gate(ERRORS)),
    Contender("ours", 30, _gate(ERRORS)),
)
OF_LABELS = (
    Contender("z-test", 168, lambda runs, n: rivals.z_test(runs, least=n)),
    Contender("z-test", 24, lambda runs, n: rivals.z_test(runs, least=n)),
    Contender(
        "last hour",
        24,
        lambda runs, n: rivals.last_intervals(runs, ACCURACY.tolerate, good=n),
    ),
    Contender("pooled sequence", 24, _sequence(ACCURACY.tolerate)),
    Contender("ours", 30, _gate(ACCURACY)),
    Contender("ours, shadow", 30, _gate(PAIRED), paired=True),
    Contender("ours, shadow", 2, _gate(PAIRED), paired=True),
)
