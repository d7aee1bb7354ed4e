"""Check for copies that the new revision cannot, or must not, answer."""

from __future__ import annotations

from collections.abc import Iterator

from components.delivery.shadow_settings import ShadowSettings
from components.serving.args import lending
from components.serving.args.server_args import ServerArgs
from components.serving.runtimes.application import Application
from components.serving.settings.scaling_settings import Scaling
from components.settings import ABSENT, Problem

PERCENT = "rollout.shadow.percent"


def problems(args: ServerArgs) -> Iterator[Problem]:
    """Report more copies than replicas can answer, and requests with side effects."""
    rollout = args.rollout
    if rollout is None or rollout.shadow is None:
        return
    yield from _effects(args, rollout.shadow)
    if revision := args.revisions.get(rollout.to):
        own = revision.scaling or args.scaling
        scaling = lending.scaling(own, own, rollout, rollout.to)
        more = "rollout.lend.replicas" if rollout.lend else f"{rollout.to} min_replicas"
        yield from _load(rollout.shadow, scaling, rollout.to, more)


def _effects(args: ServerArgs, shadow: ShadowSettings) -> Iterator[Problem]:
    if isinstance(args.runtime, Application):
        yield Problem(
            "rollout.shadow",
            args.runtime.kind,
            "an application does not know which requests are copies: it would do what "
            "they ask for, and its log would count them",
            "remove shadow; `slipway replay` compares revisions without copies",
        )
    elif args.egress and not shadow.repeatable:
        yield Problem(
            "rollout.shadow.repeatable",
            shadow.repeatable,
            "each copied request is answered twice, and the server may call others "
            "(egress): what it sends would be sent twice",
            "set it to true if that does no harm, or remove shadow",
        )


def _load(
    shadow: ShadowSettings, scaling: Scaling, name: str, more: str
) -> Iterator[Problem]:
    """`scaling`: of the revision while it gets copies; `more`: the setting to raise."""
    by_replica = shadow.replica_requests_per_second or scaling.rate_per_replica
    if by_replica is None:
        yield Problem(
            "rollout.shadow.replica_requests_per_second",
            ABSENT,
            f"neither it nor scaling.rate_per_replica of {name} says how many copies "
            "one replica can answer",
            "measure it with `slipway bench model`",
        )
        return
    copies = shadow.percent * shadow.peak_requests_per_second / 100
    room = scaling.min_replicas * by_replica
    if copies <= room:
        return
    most = int(100 * room / shadow.peak_requests_per_second)
    needed = -(-copies // by_replica)
    yield Problem(
        PERCENT,
        shadow.percent,
        f"at the peak there would be {copies:g} copies per second, and the replicas "
        f"that {name} begins with ({scaling.min_replicas}) answer {room:g}",
        f"give at most {most}, or {more}: {needed:.0f}"
        if most
        else f"give {more}: {needed:.0f}",
    )
