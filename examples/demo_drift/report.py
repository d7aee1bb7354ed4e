"""The tables that the demo prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from examples.demo_drift.comparison import Figure, Year
from examples.demo_drift.expectations import NOT_HERE
from examples.demo_drift.replay import Snapshot

GOOD, BAD = "[green]as expected[/green]", "[bold red]NOT AS EXPECTED[/bold red]"


def quality(found: Sequence[Year]) -> Table:
    table = Table(title="Quality by census year: the monitor and scikit-learn")
    for name in ("year", "rows", "labels", "metric", "monitor [95 % interval]"):
        table.add_column(name, justify="right")
    table.add_column("scikit-learn", justify="right")
    table.add_column("difference", justify="right")
    table.add_column("verdict")
    for year in found:
        for number, it in enumerate(year.quality):
            first = number == 0
            table.add_row(
                str(year.year) if first else "",
                f"{year.rows:,}" if first else "",
                f"{year.labelled:,} ({year.coverage:.2%})" if first else "",
                it.name,
                _interval(it),
                _number(it.oracle),
                _difference(it),
                it.verdict or "-",
            )
        table.add_section()
    return table


def fairness(found: Sequence[Year]) -> Table:
    table = Table(title="Groups of at least 500 rows: the monitor and numpy")
    for name in ("year", "attribute", "figure"):
        table.add_column(name)
    for name in ("monitor [95 % interval]", "numpy", "difference"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for year in found:
        for number, (attribute, it) in enumerate(year.fairness):
            table.add_row(
                str(year.year) if number == 0 else "",
                attribute,
                it.name.replace("_", " "),
                _interval(it),
                _number(it.oracle),
                _difference(it),
                it.verdict,
            )
        table.add_section()
    return table


def drift(found: Sequence[Year]) -> Table:
    table = Table(title="Drift against 2015, the training year")
    table.add_column("year")
    table.add_column("drift at the end")
    table.add_column("days with drift")
    table.add_column("days with drift on 2 of 3")
    table.add_column("largest effect of a day", justify="right")
    for year in found:
        table.add_row(
            str(year.year),
            ", ".join(year.persistent) or "none",
            _days(year.drifted),
            _days(year.persisted),
            f"{year.largest_effect:.3f}",
        )
    return table


def _days(by_feature: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {n}" for name, n in by_feature.items()) or "none"


def stages(snapshots: Sequence[Snapshot]) -> Table:
    table = Table(title="Alerts that fired, by stage")
    table.add_column("simulated days")
    table.add_column("stage")
    table.add_column("fired")
    table.add_column("")
    for it in snapshots:
        fired = "\n".join(_alert_line(one, it) for one in sorted(it.fired))
        table.add_row(
            f"{it.stage.first:%m-%d} to {it.stage.last:%m-%d}",
            it.stage.title,
            fired or "none",
            BAD if it.wrong else GOOD,
        )
        table.add_section()
    return table


def _alert_line(one: object, snapshot: Snapshot) -> str:
    resolved = "" if one in snapshot.firing else ", resolved"
    return f"{one}{resolved}"


def names(rules: Iterable[str], snapshots: Sequence[Snapshot]) -> Table:
    """Every alert of the rule file: expected and found."""
    table = Table(title="All alerts of the rule file")
    table.add_column("alert")
    table.add_column("expected")
    table.add_column("found")
    fired: Mapping[str, list[str]] = by_name(snapshots)
    required = {one.name for it in snapshots for one in it.expected.required}
    allowed = {one.name for it in snapshots for one in it.expected.allowed}
    for name in rules:
        if name in NOT_HERE:
            expected = f"silent: {NOT_HERE[name]}"
        else:
            may = "may fire" if name in allowed else "silent"
            expected = "fires" if name in required else may
        found = ", ".join(fired.get(name, ())) or "silent"
        table.add_row(name, expected, found)
    return table


def by_name(snapshots: Iterable[Snapshot]) -> dict[str, list[str]]:
    """Return the stages in which each alert fired."""
    found: dict[str, list[str]] = {}
    for snapshot in snapshots:
        for one in sorted(snapshot.fired):
            stages = found.setdefault(one.name, [])
            if snapshot.stage.name not in stages:
                stages.append(snapshot.stage.name)
    return found


def conclude(console: Console, what: str, wrong: Sequence[str]) -> int:
    """Print whether all was as expected; return the exit status."""
    for line in wrong:
        console.print(f"[bold red]wrong:[/bold red] {line}", highlight=False)
    if wrong:
        console.print(f"[bold red]{what}: {len(wrong)} differences[/bold red]")
        return 1
    console.print(f"[bold green]{what}: all as expected[/bold green]")
    return 0


def _interval(it: Figure) -> str:
    if it.low is None or it.high is None:
        return _number(it.value)
    return f"{_number(it.value)} [{_number(it.low)}, {_number(it.high)}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _difference(it: Figure) -> str:
    if it.difference is None:
        return "-"
    return f"{it.difference:.0e}" if it.difference else "0"
