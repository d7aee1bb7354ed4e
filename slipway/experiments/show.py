"""An experiment as a table for people, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slipway.experiments.live import Found, Report
from slipway.printable import printable

DAY = 86_400
HEAD = ("metric", "control", "treatment", "difference", "from", "to", "variance saved")
VERDICTS = {
    "better": "the treatment is better",
    "worse": "the treatment is worse",
    "no_difference": "no difference found",
    "undecided": "undecided",
    "doubtful": "doubtful",
}


def plain(found: Found, report: Report | None, why_not: str) -> dict[str, Any]:
    """Return JSON data; `report` is null if `unreported` says why."""
    return {
        "experiment": found.plan,
        "started": found.window and found.window.started,
        "ended": found.window and found.window.ended,
        "ends": found.experiment.ends,
        "runs": found.runs,
        "weights": dict(found.state.route.weights),
        "gates": found.state.look,
        "report": report,
        "unreported": why_not,
    }


def lines(found: Found, report: Report | None, why_not: str) -> Iterator[str]:
    """Return lines for people."""
    yield found.experiment.headline(found.state.settings.server)
    if found.state.look:
        yield f"  gates: {printable(found.state.look['reason'])}"
    if report is None:
        yield f"  no report: {printable(why_not)}"
        return
    yield f"  {VERDICTS[report['verdict']]}: {printable(report['reason'])}"
    rows = [row for metric in report["metrics"] for row in _row(metric)]
    if rows:
        yield from (f"  {line}" for line in _table([HEAD, *rows]))
        yield "  * decides; from and to hold at all looks together"
    yield from (f"  {line}" for line in _units(report))


def _row(metric: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Return the row of the newest analysis, if there is one."""
    name = f"{'* ' if metric['decides'] else ''}{printable(metric['name'])}"
    if not metric["looks"]:
        yield (name, *["-"] * (len(HEAD) - 1))
        return
    last = metric["looks"][-1]
    means = [_number(last[it]) for it in ("control", "treatment")]
    signed = [_number(last[it], "+") for it in ("difference", "low", "high")]
    saved = last["variance_saved"] or 0.0
    yield (name, *means, *signed, f"{saved:.0%}")


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else format(value, f"{sign}.4f")


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        first, *rest = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest])


def _units(report: Report) -> Iterator[str]:
    ratio = report["sample_ratio"]
    counted = ", ".join(f"{name} {n}" for name, n in report["units"].items())
    share = "-" if ratio["found"] is None else f"{ratio['found']:.1%}"
    yield (
        f"{report['unit']}s: {counted}; the treatment has {share}, designed "
        f"{ratio['designed']:.0%}"
    )
    if report["units_in_both"] or report["predictions_without_unit"]:
        yield (
            f"left out: {report['units_in_both']} {report['unit']}s seen in both arms, "
            f"{report['predictions_without_unit']} of {report['predictions']} "
            "predictions without the header"
        )
    needed, planned = report["units_needed"], report["planned_units"]
    texts = [f"planned {planned}"] if planned else []
    if needed is not None:
        texts.append(f"about {needed:.0f} find the smallest effect that matters")
    if texts:
        yield f"units needed: {'; '.join(texts)}"
