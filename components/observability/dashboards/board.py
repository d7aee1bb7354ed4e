"""A dashboard as data: variables, rows of panels, queries, the limits of alerts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

COLUMNS = 24
"""Width of Grafana's grid."""
LONGEST_UID = 40
"""Maximum length of a uid in Grafana's database."""
TAG = "slipway"
"""Tag of every dashboard, by which they link to each other."""
RATE = "$__rate_interval"
"""Grafana's own: at least four scrapes."""
FIRING = 'alertstate="firing"'
"""Selector of Prometheus' series ALERTS: alerts that are sent."""
SLOW = "5m"
"""For what is scraped less often (components/observability/scrape.py)."""

Unit = Literal[
    "bool_yes_no",
    "bytes",
    "celsius",
    "currencyUSD",
    "hertz",
    "none",
    "percentunit",
    "reqps",
    "s",
    "short",
    "watt",
]
"""Names of Grafana's: percentunit is a ratio of 0 to 1, reqps requests a second."""
Kind = Literal["graph", "number", "states", "table"]
"""`states`: 1 is bad, 0 is good, over time. `table`: the labels of what is now."""


@dataclass(frozen=True)
class Query:
    """An expression and the name of each of its series."""

    expr: str
    legend: str
    """With labels as {{label}}."""


@dataclass(frozen=True)
class Limit:
    """Where an alert begins, by what `label` names; the key "" stands for all.

    Limits that differ are drawn as lines of their own, as far as `series` has them.
    """

    alert: str
    values: Mapping[str, float]
    label: str = "server"
    series: str = ""
    """Name of a series that each of them has."""
    selector: str = ""
    """Chooses what the dashboard shows of it."""
    below: bool = False
    """Whether lower is worse."""

    @property
    def common(self) -> float | None:
        """The limit of all, if it is one."""
        found = set(self.values.values())
        return found.pop() if len(found) == 1 else None

    def lines(self) -> Iterator[Query]:
        """Lines for limits that differ; PromQL takes several matchers of one label."""
        if self.common is not None:
            return
        for value in sorted(set(self.values.values())):
            names = "|".join(sorted(n for n, v in self.values.items() if v == value))
            chosen = f'{self.selector},{self.label}=~"{names}"'
            yield Query(
                f"{value:g} * group by ({self.label}) ({self.series}{{{chosen}}})",
                f"limit of {{{{{self.label}}}}}",
            )


@dataclass(frozen=True)
class Panel:
    """A graph, a number, states or a table."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = "graph"
    width: int = 8
    """Width, of 24 columns."""
    limit: Limit | None = None
    most: float | None = None
    """Upper end of the axis; the lower is then 0."""
    empty: str = ""
    """Why it may rightly have no data, which it then says; none: it always has some."""

    @property
    def all_queries(self) -> tuple[Query, ...]:
        """The queries, and lines for limits that differ."""
        return (*self.queries, *(self.limit.lines() if self.limit else ()))


@dataclass(frozen=True)
class Variable:
    """A choice at the top: the values of a label of a series, or fixed ones."""

    name: str
    title: str
    series: str = ""
    """A selector."""
    label: str = ""
    values: tuple[str, ...] = ()
    several: bool = False
    """Several may be chosen, and all are at first; queries then match with =~."""
    hidden: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard. Its name and uid stay the same from version to version."""

    name: str
    """Name of its file and ConfigMap."""
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    uid: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uid", _uid(self.name))

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in their order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def _uid(name: str) -> str:
    """The address of a dashboard, of the name or of its digest."""
    uid = f"{TAG}-{name}"
    if len(uid) <= LONGEST_UID:
        return uid
    return f"{TAG}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def one(expr: str, legend: str) -> tuple[Query, ...]:
    """The queries of a panel that has one."""
    return (Query(expr, legend),)


def interval(series: str, selector: str, legend: str) -> tuple[Query, ...]:
    """A metric of the model monitor and the ends of its 95 % interval."""
    ends = (("", ""), ("_low", ", low"), ("_high", ", high"))
    return tuple(
        Query(f"{series}{end}{{{selector}}}", f"{legend}{text}") for end, text in ends
    )
