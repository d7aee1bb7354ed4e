"""The report on drift as Markdown, in the form of that of `slipway compare`."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.drift.report import DriftReport
from slipway.preview.items import code, item_text, title
from slipway.preview.markdown import LIMIT_CHARACTERS, MARKS, changed_paths, cut
from slipway.preview.report import Item


def text(report: DriftReport, limit: int = LIMIT_CHARACTERS) -> str:
    """The whole report, of at most `limit` characters."""
    return cut("\n".join(_lines(report)) + "\n", limit)


def _lines(report: DriftReport) -> Iterator[str]:
    yield f"### {MARKS[report.level]} {report.verdict}"
    if gone := report.of("deleted"):
        yield from title("Gone")
        yield from (f"- {item_text(item)}{_about(item)}" for item in gone)
    if differing := report.of("changed"):
        yield from title("Different")
        yield "Each value of the state, and then the one that is there."
        yield ""
        for item in differing:
            yield f"- {item_text(item)}{_about(item)}"
            yield from changed_paths(item.changes)
    if report.unchecked:
        yield from title("Not checked")
        for stack in report.unchecked:
            yield f"- {code(stack.stack)}: {code(stack.error)}"
    if report.notes:
        yield from title("Notes")
        yield from (f"- {code(note)}" for note in report.notes)


def _about(item: Item) -> str:
    texts = [code(item.reason) if item.reason else ""]
    if item.holds_data and (item.action == "deleted" or item.reason):
        texts.append("**holds data**")
    if item.secret and item.action == "changed":
        texts.append("values are not shown, as some are secret")
    said = "; ".join(filter(None, texts))
    return f": {said}" if said else ""
