"""How often gates of a rollout are wrong: ours and others on the same traffic.

    python -m benchmarks.rollout_errors

First table: the canary gets 10 % of 1,200 or of 12,000 requests a minute; each gate
looks once a minute for an hour. A canary may be worse by less than .5 points. Bad
requests are binomial, and in the bursty columns each revision's rate of each minute is
drawn anew. Second table: 200 or 1,000 labels an hour, a tenth of them the canary's;
each gate looks once an hour for a week. A canary may be less accurate by less than 2
points. Our gate is the program's own code (images/rollout), as one of four gates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import rollout_scenarios as scenarios
from benchmarks import rollout_tables as tables
from benchmarks.rollout_contenders import OF_ERRORS, OF_LABELS, Contender
from benchmarks.rollout_rivals import Ends
from benchmarks.rollout_scenarios import Scenario

SEED = 20261129
RUNS = 2000


@dataclass(frozen=True)
class Column:
    """A figure of each contender's runs of one scenario."""

    name: str
    scenario: Scenario
    value: Callable[[Ends], float]
    form: str = ".3f"

    def text(self, contender: Contender, count: int, seed: int) -> str:
        """The figure for both loads."""
        if contender.own_weights and len(self.scenario.weights) > 1:
            return "-"
        ends = contender.cells(self.scenario, count, seed)
        return " / ".join(_text(self.value(it), self.form) for it in ends)


def _text(value: float, form: str) -> str:
    return "never" if np.isnan(value) else f"{value:{form}}".removeprefix("0")


def _back(ends: Ends) -> float:
    return ends.rolled_back


def _on(ends: Ends) -> float:
    return ends.promoted


TABLES: dict[str, tuple[Sequence[Contender], Sequence[Column]]] = {
    "errors": (
        OF_ERRORS,
        (
            *(Column(f"back: {it.name}", it, _back) for it in scenarios.EQUAL),
            *(Column(f"on: {it.name}", it, _on) for it in scenarios.WORSE),
            Column(
                f"minutes: {scenarios.CAUGHT.name}",
                scenarios.CAUGHT,
                lambda ends: ends.median(-1),
                ".0f",
            ),
        ),
    ),
    "labels": (
        OF_LABELS,
        (
            Column("back: equal", scenarios.LABELLED_EQUAL, _back),
            Column("on: 2 points worse", scenarios.LABELLED_AT_MARGIN, _on),
            Column("on: 3 points worse", scenarios.LABELLED_WORSE, _on),
            Column("back: 3 points worse", scenarios.LABELLED_WORSE, _back),
            Column("on: equal", scenarios.LABELLED_EQUAL, _on),
            Column(
                "hours: equal",
                scenarios.LABELLED_EQUAL,
                lambda ends: ends.median(1),
                ".0f",
            ),
        ),
    ),
}
"""back: share rolled back; on: share promoted."""


def rows(name: str, count: int, seed: int) -> Iterator[str]:
    """A table in Markdown, line by line as the figures come."""
    contenders, columns = TABLES[name]
    yield tables.row("gate", "looks", *(it.name for it in columns))
    yield "|---" * (len(columns) + 2) + "|"
    for one in contenders:
        figures = [column.text(one, count, seed) for column in columns]
        yield tables.row(one.name, one.least, *figures)


def main(arguments: Sequence[str] | None = None) -> int:
    module = "benchmarks.rollout_errors"
    options = tables.asked(module, __doc__, (RUNS, SEED), arguments, unit="cell")
    for name in TABLES:
        for line in rows(name, options.runs, options.seed):
            print(line, flush=True)
        print(flush=True)
    print(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
