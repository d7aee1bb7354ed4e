"""Results as text, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from model_monitor.figures.results import Results

HISTORY_DAYS = 40
"""Days of the history that are shown, the newest ones."""

Values = Mapping[str, Any]


def table(results: Values) -> str:
    """Return the results of a model (as `results.read` gives them) as lines."""
    lines = [f"{results['model']} ({results['task']}), as of {results['now']}"]
    lines += [f"problem: {it}" for it in results["problems"]]
    if results["review_is_overdue"]:
        lines.append(f"review: was due by {results['review_by']}")
    for revision in results["revisions"]:
        lines += ["", *_revision(revision)]
    if not results["revisions"]:
        lines.append("no predictions in the last 30 days, nor any that are due")
    return "\n".join(lines)


def of(results: Results) -> str:
    return table(results.to_json())


def _revision(revision: Values) -> Iterator[str]:
    note = "" if revision["is_approved"] else ", not approved"
    note += ", retired" if revision.get("is_retired", False) else ""
    yield f"revision {revision['revision']}{note}, newest record {revision['newest']}"
    yield from _windows(revision["windows"])
    for it in revision["windows"].values():
        for judgement in it["judgements"]:
            yield (
                f"  {it['start']} to {it['end']}, {judgement['metric']}: "
                f"{judgement['verdict']} ({_number(judgement['baseline'])} "
                f"+- {judgement['margin']:g})"
            )
    if drift := revision["drift"]:
        found = [
            f"{it['feature']} ({_number(it['effect'])})"
            for it in (*drift["features"], *drift["predictions"])
            if it["persistent"]
        ]
        days = ", ".join(drift["days"])
        yield f"  drift on {days}: {', '.join(found) or 'none that persists'}"
    if concept := revision["concept"]:
        word = "drift" if concept["detected"] else "no drift"
        error = _number(concept["error"])
        yield f"  errors: {word}; {error}, baseline {_number(concept['baseline'])}"
    for audit in revision["fairness"]:
        for it in audit["metrics"]:
            figure = _figure(it["figure"])
            yield f"  {audit['attribute']} {it['metric']}: {figure}, {it['verdict']}"
    yield from _history(revision["history"][-HISTORY_DAYS:])


def _windows(windows: Mapping[str, Values]) -> Iterator[str]:
    names = _names(it["metrics"] for it in windows.values())
    rows = [["window", "rows", "labelled", *names]]
    for name, window in windows.items():
        metrics = [_figure(window["metrics"].get(it)) for it in names]
        rows.append([name, str(window["answered"]), str(window["labelled"]), *metrics])
    yield from _aligned(rows)


def _history(days: Sequence[Values]) -> Iterator[str]:
    names = _names(it["metrics"] for it in days)
    rows = [["day", "rows", "labelled", *names, "drifted"]]
    for day in days:
        metrics = [day["metrics"].get(it) for it in names]
        rows.append(
            [
                *(day["date"], str(day["answered"]), str(day["labelled"])),
                *(_number(it and it["value"]) for it in metrics),
                ",".join(day["drifted"]) or "-",
            ]
        )
    yield from _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines whose cells stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{it:>{width}}" for it, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells)


def _names(metrics: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for found in metrics for name in found))


def _figure(figure: Values | None) -> str:
    if figure is None:
        return "-"
    if figure["low"] is None:
        return _number(figure["value"])
    value, low, high = (_number(figure[it]) for it in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
