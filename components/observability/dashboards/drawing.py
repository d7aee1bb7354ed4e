"""A dashboard as Grafana's JSON, by Grafana's own SDK.

Version 0.0.21 writes schema version 42 (Grafana 12), which newer Grafana migrates.
Versions that the package index sorts as newer are for Grafana 10.1. The SDK recommends
its second format, which older Grafana cannot read.
https://grafana.github.io/grafana-foundation-sdk/
"""

from __future__ import annotations

import json
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import (
    common as shared,
)
from grafana_foundation_sdk.builders import (
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from components.observability.dashboards.board import (
    COLUMNS,
    TAG,
    Board,
    Panel,
    Query,
    Variable,
)

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, RED = "green", "red"
ALL = models.VariableOption(selected=True, text="All", value="$__all")
HEIGHTS = {"number": 4, "states": 7, "table": 8, "graph": 8}

Builder = timeseries.Panel | stat.Panel | statetimeline.Panel | table.Panel


def text(board: Board) -> str:
    """The JSON; the same for the same dashboard."""
    drawn = dashboard.Dashboard(board.title).uid(board.uid)
    drawn.description(board.description).tags([TAG]).refresh("30s").readonly()
    drawn.time("now-6h", "now").tooltip(models.DashboardCursorSync.CROSSHAIR)
    drawn.with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    for variable in board.variables:
        drawn.with_variable(_variable(variable))
    drawn.link(
        dashboard.DashboardLink("Slipway")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .keep_time(True)
    )
    _rows(drawn, board)
    built = json.dumps(drawn.build(), cls=JSONEncoder, indent=1, sort_keys=True)
    return f"{built}\n"


def _rows(drawn: dashboard.Dashboard, board: Board) -> None:
    number, top = 0, 0
    for row in board.rows:
        number += 1
        place = models.GridPos(x=0, y=top, w=COLUMNS, h=1)
        drawn.with_row(dashboard.Row(row.title).id(number).grid_pos(place))
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                top, left, height = top + height, 0, 0
            number, high = number + 1, HEIGHTS[panel.kind]
            place = models.GridPos(x=left, y=top, w=panel.width, h=high)
            drawn.with_panel(_panel(panel).id(number).grid_pos(place))
            left, height = left + panel.width, max(height, high)
        top += height


def _variable(variable: Variable) -> Any:
    if variable.values:
        fixed = dashboard.CustomVariable(variable.name).label(variable.title)
        first = variable.values[0]
        chosen = models.VariableOption(selected=True, text=first, value=first)
        return fixed.values(",".join(variable.values)).current(chosen)
    query = f"label_values({variable.series}, {variable.label})"
    asked = (
        dashboard.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(SOURCE)
        .query(query)
        .definition(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if variable.hidden:
        asked.hide(models.VariableHide.HIDE_VARIABLE)
    if variable.several:
        asked.multi(True).include_all(True).all_value(".+").current(ALL)
    return asked


def _panel(panel: Panel) -> Builder:
    drawn = _of_kind(panel)
    drawn.title(panel.title).description(_described(panel)).datasource(SOURCE)
    drawn.unit(panel.unit).thresholds(_thresholds(panel))
    drawn.no_value(panel.empty or "no data")
    if panel.most is not None:
        drawn.min(0).max(panel.most)
    is_table = panel.kind == "table"
    for letter, query in zip(ascii_uppercase, panel.all_queries, strict=False):
        drawn.with_target(_target(letter, query, is_table=is_table))
    return drawn


def _described(panel: Panel) -> str:
    if panel.limit is None:
        return panel.description
    return f"{panel.description} Red: the alert {panel.limit.alert}."


def _of_kind(panel: Panel) -> Builder:
    if panel.kind == "number":
        newest = shared.ReduceDataOptions().calcs(["lastNotNull"])
        number = stat.Panel().color_mode(common.BigValueColorMode.VALUE)
        return number.reduce_options(newest)
    if panel.kind == "table":
        return table.Panel()
    if panel.kind == "states":
        colours = dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)
        return statetimeline.Panel().color_scheme(colours)
    legend = (
        shared.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    tooltip = shared.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    drawn = timeseries.Panel().legend(legend).tooltip(tooltip).fill_opacity(5)
    if panel.limit and panel.limit.common is not None:
        line = common.GraphThresholdsStyleMode.DASHED
        drawn.thresholds_style(shared.GraphThresholdsStyleConfig().mode(line))
    return drawn


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    """Green, and red from the alert's limit on; states are red where they are 1."""
    if panel.kind == "states":
        steps = _steps(1.0)
    elif panel.limit and panel.limit.common is not None:
        steps = _steps(panel.limit.common, below=panel.limit.below)
    else:
        steps = [models.Threshold(None, GREEN)]
    absolute = models.ThresholdsMode.ABSOLUTE
    return dashboard.ThresholdsConfig().mode(absolute).steps(steps)


def _steps(value: float, *, below: bool = False) -> list[models.Threshold]:
    low, high = (RED, GREEN) if below else (GREEN, RED)
    return [models.Threshold(None, low), models.Threshold(value, high)]


def _target(letter: str, query: Query, *, is_table: bool) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(letter).datasource(SOURCE)
    target.expr(query.expr).legend_format(query.legend)
    if is_table:
        return target.instant().format(PromQueryFormat.TABLE)
    return target.range()
