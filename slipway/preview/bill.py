"""Dollars and GPUs of clusters before and after, floor and ceiling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.cluster.settings import ClusterSettings
from slipway import stack_settings
from slipway.cost.estimate import Amount, Estimate, estimate
from slipway.cost.gpus import gpus
from slipway.preview.report import Bill, Money
from stacks import layers
from toolchain.errors import OperatorError

_Side = tuple[Estimate, int, int]
"""Costs, least and most GPUs."""


def bills(stacks: list[str], base: Path, head: Path) -> Iterator[Bill]:
    """A bill for each cluster whose costs or GPUs differ.

    Settings are read as text by the code that compares; where it does not know them,
    the bill says so.
    """
    for stack in stacks:
        if layers.split(stack)[0] == layers.CLUSTER:
            bill = _bill(stack, base, head)
            if bill.note or _differs(bill):
                yield bill


def _bill(stack: str, base: Path, head: Path) -> Bill:
    before, wrong_before = _side(stack, base)
    after, wrong_after = _side(stack, head)
    return Bill(
        stack=stack,
        floor_before=before and _money(before[0].floor),
        floor_after=after and _money(after[0].floor),
        ceiling_before=before and _money(before[0].ceiling),
        ceiling_after=after and _money(after[0].ceiling),
        gpus_floor_before=before and before[1],
        gpus_floor_after=after and after[1],
        gpus_ceiling_before=before and before[2],
        gpus_ceiling_after=after and after[2],
        prices=tuple(
            f"{source}, {day}"
            for source, day in dict.fromkeys(
                one for side in (before, after) if side for one in side[0].sources
            )
        ),
        note=wrong_before or wrong_after,
    )


def _differs(bill: Bill) -> bool:
    pairs = (
        (bill.floor_before, bill.floor_after),
        (bill.ceiling_before, bill.ceiling_after),
        (bill.gpus_floor_before, bill.gpus_floor_after),
        (bill.gpus_ceiling_before, bill.gpus_ceiling_after),
    )
    return any(before != after for before, after in pairs)


def _side(stack: str, checkout: Path) -> tuple[_Side | None, str]:
    """Costs and GPUs; none if there is no such stack, and why if it is not read."""
    if not (checkout / "stacks" / "config" / f"Pulumi.{stack}.yaml").is_file():
        return None, ""
    try:
        settings = stack_settings.load(stack, ClusterSettings, checkout)
    except OperatorError:
        return None, "its settings are not known to the code that compares"
    pools = [gpus(pool) for pool in settings.pools.values()]
    least, most = sum(p[0] for p in pools), sum(p[1] for p in pools)
    return (estimate(stack, settings), least, most), ""


def _money(amount: Amount) -> Money:
    known = amount.usd_per_hour > 0 or not amount.unknown
    value = round(amount.usd_per_month, 2) if known else None
    return Money(value, bool(amount.unknown))
