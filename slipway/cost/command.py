"""`slipway cost`: floor and ceiling of what a cluster costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from components.cluster.settings import ClusterSettings
from slipway import stack_settings
from slipway.cost.estimate import HOURS_PER_MONTH, Amount, Estimate, estimate
from stacks import layers


@click.command(name="cost")
@click.argument("stacks", nargs=-1, required=True, metavar="STACK...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(stacks: Sequence[str], as_json: bool) -> None:
    """Show what clusters cost: nodes that always run, and all up to the limits.

    The prices are the catalogue's on-demand prices, with their date; no account is
    needed. Data transfer, disks, logs and requests are not included. Items without a
    known price are listed, and the sum is then a minimum.
    """
    others = [stack for stack in stacks if layers.split(stack)[0] != layers.CLUSTER]
    if others:
        raise click.UsageError(
            f"{', '.join(others)}: only stacks of the layer {layers.CLUSTER} create "
            "what AWS bills"
        )
    found = [
        estimate(stack, stack_settings.load(stack, ClusterSettings)) for stack in stacks
    ]
    if as_json:
        click.echo(json.dumps([as_data(one) for one in found], indent=2))
        return
    console = Console()
    for one in found:
        _print(console, one)


def as_data(found: Estimate) -> dict[str, Any]:
    """The estimate as JSON has it: amounts in US dollars.

    `at_least` says that not all of an amount is known, `unknown` what is not.
    """
    return {
        "stack": found.stack,
        "region": found.region,
        "hours_per_month": HOURS_PER_MONTH,
        "lines": [
            {
                "name": line.name,
                "what": line.what,
                "floor": _amount(line.floor),
                "ceiling": _amount(line.ceiling),
                "note": line.note,
            }
            for line in found.lines
        ],
        "floor": _amount(found.floor),
        "ceiling": _amount(found.ceiling),
        "sources": [{"source": s, "date": str(d)} for s, d in found.sources],
    }


def _amount(amount: Amount) -> dict[str, Any]:
    known = amount.usd_per_hour > 0 or not amount.unknown
    return {
        "usd_per_hour": round(amount.usd_per_hour, 4) if known else None,
        "usd_per_month": round(amount.usd_per_month, 2) if known else None,
        "at_least": bool(amount.unknown),
        "unknown": list(amount.unknown),
    }


def _text(floor: Amount, ceiling: Amount, *, monthly: bool) -> str:
    low, high = _one(floor, monthly=monthly), _one(ceiling, monthly=monthly)
    return low if low == high else f"{low} to {high}"


def _one(amount: Amount, *, monthly: bool) -> str:
    value = amount.usd_per_month if monthly else amount.usd_per_hour
    shown = f"{value:,.0f}" if monthly else f"{value:,.3f}"
    if not amount.unknown:
        return shown
    return f"≥ {shown}" if amount.usd_per_hour else "unknown"


def _print(console: Console, found: Estimate) -> None:
    table = Table(title=f"{found.stack} in {found.region}, US dollars")
    table.add_column("part", no_wrap=True)
    table.add_column("what")
    table.add_column("an hour", justify="right", no_wrap=True)
    table.add_column("a month", justify="right", no_wrap=True)
    for line in found.lines:
        what = f"{line.what}; {line.note}" if line.note else line.what
        table.add_row(line.name, what, *_row(line.floor, line.ceiling))
    table.add_section()
    table.add_row("[bold]all[/bold]", "", *_row(found.floor, found.ceiling))
    console.print(table)
    if found.ceiling.unknown:
        console.print(
            f"No price is known for: {', '.join(found.ceiling.unknown)}. `slipway "
            f"catalog refresh --region {found.region}` queries your account for those "
            "of instance types.",
            highlight=False,
        )
    left_out = [u for u in found.floor.unknown if u not in found.ceiling.unknown]
    if left_out:
        console.print(
            f"Not in the floor: {', '.join(left_out)}; the settings do not state how "
            "many instances they hold.",
            highlight=False,
        )
    for source, day in found.sources:
        console.print(f"Prices: {source}, {day}", highlight=False)


def _row(floor: Amount, ceiling: Amount) -> list[str]:
    return [_text(floor, ceiling, monthly=monthly) for monthly in (False, True)]
