"""What the real rollout controller answers, for tests of the model console."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rollout import __main__ as program
from rollout import page
from rollout.cluster import Cluster
from rollout.protocol import give
from rollout.settings import Counters, Gate, Settings, Step
from rollout.status import OrderKind
from rollout.watched import Watched

from tests.support.rollout_api import NAMES, Served, objects, serve
from tests.support.rollouts import SETTINGS

PATH = f"/rollouts/{NAMES.server}"
MODEL = "loans"
SHOWN = replace(
    SETTINGS,
    steps=(Step(5), Step(25), Step(50, approval=True)),
    gates=(
        Gate("errors", 0.005, counters=Counters("bad_b", "bad_a")),
        Gate("slow", 0.01, counters=Counters("quick_b", "quick_a"), of_good=True),
    ),
    total=Counters("all_b", "all_a"),
    min_intervals=100,
)
ROWS = 200


def counters() -> dict[str, list[dict[int, float]]]:
    """Requests of both revisions, some of them bad; the canary's hardly more."""
    of_all = {"all_b": 1000, "all_a": 9000, "bad_b": 2.2, "bad_a": 18}
    rates = of_all | {"quick_b": 956, "quick_a": 8600}
    return {
        name: [{30 * row: rate * row + row % 3 for row in range(-5, ROWS)}]
        for name, rate in rates.items()
    }


@dataclass
class Controller:
    """The controller of one rollout, with an API server and a Prometheus."""

    served: Served
    cluster: Cluster
    watched: Watched
    now: int = 0

    def look(self, now: int) -> None:
        self.now = now
        program.step(self.cluster, self.watched)

    def order(self, kind: OrderKind, why: str, weight: int = 100) -> None:
        self.cluster.run(give(kind, who="ann", why=why, weight=weight))

    @property
    def answers(self) -> dict[str, Any]:
        """By path, as the program sends them."""
        found = {
            "/rollouts": page.of_all({NAMES.server: self.watched}),
            PATH: page.of_one(self.watched),
        }
        plain: dict[str, Any] = json.loads(json.dumps(found))
        return plain


@contextmanager
def controller(settings: Settings = SHOWN) -> Iterator[Controller]:
    served = Served(objects(settings), counters())
    with serve(served) as api:
        cluster = Cluster(api, api, NAMES)
        found = Controller(served, cluster, Watched(model=MODEL))
        cluster.clock = lambda: found.now
        yield found
