"""Queries of dashboards: their metrics, and their variables filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.observability.dashboards.board import Board, Panel
from slipway.rendering.render import Rendered

DURATIONS = {"__rate_interval": "5m", "__range": "1h"}
"""What Grafana fills in itself."""
WORDS = {"and", "or", "unless", "by", "on", "ignoring", "group_left", "bool"}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)"
)
_NAME = re.compile(r"[A-Za-z_:][\w:]*")
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\{([^{}]*)\}")
_MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"')


@dataclass(frozen=True)
class Asked:
    """A query with where it stands."""

    board: Board
    panel: Panel
    expr: str

    def __str__(self) -> str:
        return f"{self.board.name}: {self.panel.title}: {self.expr}"


def queries(*boards: Board) -> Iterator[Asked]:
    """Every query of every panel."""
    for board in boards:
        for panel in board.panels:
            for query in panel.all_queries:
                yield Asked(board, panel, query.expr)


def metrics(expr: str) -> set[str]:
    """Names of the series that an expression reads.

    What is left without strings, selectors, ranges, groupings and functions.
    """
    bare = _STRING.sub("", expr)
    bare = re.sub(r"\{[^{}]*\}", " ", bare)
    bare = re.sub(r"\[[^\]]*\]", " ", bare)
    bare = _GROUPING.sub(" ", bare)
    found = set()
    for match in _NAME.finditer(bare):
        called = bare[match.end() :].lstrip().startswith("(")
        if not called and match[0] not in WORDS:
            found.add(match[0])
    return found


def matched(expr: str) -> Iterator[tuple[str, set[str]]]:
    """Each series with the labels that it is chosen by."""
    for name, inside in _SELECTOR.findall(expr):
        yield name, set(_MATCHER.findall(inside))


def filled(expr: str, values: Mapping[str, str]) -> str:
    """The expression as Grafana would send it; AssertionError if a variable is left."""
    chosen = {**DURATIONS, **values}
    expr = re.sub(r"\$(\w+)", lambda found: chosen.get(found[1], found[0]), expr)
    left = re.findall(r"\$[a-zA-Z_]\w*", expr)
    assert not left, f"{left} in {expr}"
    return expr


def files(rendered: Rendered) -> dict[str, str]:
    """The JSON of each dashboard's ConfigMap, by the ConfigMap's name."""
    maps = [
        m
        for m in rendered.manifests
        if m["kind"] == "ConfigMap" and m["metadata"]["name"].startswith("dashboard-")
    ]
    return {m["metadata"]["name"]: next(iter(m["data"].values())) for m in maps}
