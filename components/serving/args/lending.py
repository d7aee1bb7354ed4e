"""A rollout within the existing replicas: the old revision lends some to the new one.

While it lends, neither autoscaler changes its number: together they have the old
revision's replicas at rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from components.delivery.lend_settings import LendSettings
from components.delivery.settings import RolloutSettings
from components.serving.args.server_args import ServerArgs
from components.serving.settings.scaling_settings import Scaling
from components.settings import ABSENT, Problem

LEAST_REPLICAS = 3
"""With two replicas, the remaining one would get twice its load."""
PATH = "rollout.lend.replicas"


def scaling(
    own: Scaling, lender: Scaling, rollout: RolloutSettings, revision: str
) -> Scaling:
    """Return a revision's replicas while the old one lends some; otherwise its own.

    `lender`: replicas of the old revision.
    """
    if rollout.lend is None:
        return own
    lent = rollout.lend.replicas
    if revision == rollout.from_:
        return _fixed(own, max(1, lender.min_replicas - lent))
    return _fixed(own, lent) if revision == rollout.to else own


def _fixed(own: Scaling, replicas: int) -> Scaling:
    fixed = {
        "min_replicas": replicas,
        "max_replicas": replicas,
        "fallback_replicas": None,
        "max_unavailable": 1,
        "accept_single_replica": True,
        "idle": None,
    }
    return own.model_copy(update=fixed)


def problems(args: ServerArgs) -> Iterator[Problem]:
    """Report too few replicas to lend one, or too much load for the remaining ones."""
    rollout = args.rollout
    if rollout is None or rollout.lend is None or rollout.from_ not in args.revisions:
        return
    own = args.revisions[rollout.from_].scaling or args.scaling
    lend, replicas = rollout.lend, own.min_replicas
    if replicas < LEAST_REPLICAS:
        yield Problem(
            PATH,
            lend.replicas,
            f"{rollout.from_} has {replicas} replicas at rest, and what is left after "
            "lending would not answer all requests",
            f"raise its min_replicas to {LEAST_REPLICAS}, or remove lend",
        )
        return
    if lend.replicas >= replicas:
        yield Problem(
            PATH,
            lend.replicas,
            f"{rollout.from_} has {replicas} replicas at rest and keeps one",
            f"give at most {replicas - 1}",
        )
        return
    by_replica = lend.replica_requests_per_second or own.rate_per_replica
    if by_replica is None:
        yield Problem(
            "rollout.lend.replica_requests_per_second",
            ABSENT,
            f"neither it nor scaling.rate_per_replica of {rollout.from_} says what one "
            "replica can answer",
            "measure it with `slipway bench model`",
        )
        return
    yield from _overloads(rollout, lend, replicas, by_replica)


def _overloads(
    rollout: RolloutSettings, lend: LendSettings, replicas: int, by_replica: float
) -> Iterator[Problem]:
    peak, left = lend.peak_requests_per_second, replicas - lend.replicas
    # It lends them in turn, each once the canary has the share of those before.
    share = 1 - (lend.replicas - 1) / replicas
    if peak * share > left * by_replica:
        yield Problem(
            PATH,
            lend.replicas,
            f"at the peak {rollout.from_} still has {peak * share:g} requests per "
            f"second, and its {left} replicas that are left answer "
            f"{left * by_replica:g}",
            "lend fewer, or give the rollout GPUs of its own",
        )
        return
    for weight in allowed(rollout, left, lend.replicas):
        asked = peak * weight / 100
        if asked > lend.replicas * by_replica:
            yield Problem(
                PATH,
                lend.replicas,
                f"with {weight} % {rollout.to} has {asked:g} requests per second at "
                f"the peak, and {lend.replicas} replicas answer "
                f"{lend.replicas * by_replica:g}",
                "give smaller steps, or lend more",
            )
            return


def allowed(rollout: RolloutSettings, left: int, lent: int) -> list[int]:
    """Return the weights that the controller gives to this many canary replicas.

    It requires the weight's share of the old revision's ready replicas
    (images/rollout/rollout/verdict.py).
    """
    weights = [*(step.weight for step in rollout.steps), 100]
    return [it for it in weights if max(1, math.ceil(it * left / 100)) <= lent]
