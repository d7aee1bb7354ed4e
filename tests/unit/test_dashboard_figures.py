"""Figures and thresholds of dashboards: prices of nodes, limits of the alerts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.monitoring import alerts as monitor_alerts
from components.monitoring import monitor_file
from components.monitoring.settings import MonitorSettings
from components.observability import platform_alerts
from components.observability.dashboards import cost, drawing, sets
from components.observability.dashboards.board import Board, Limit
from components.observability.settings import AlertThresholds
from components.serving import dashboards as of_models
from components.serving.alerts import rules
from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.cost.estimate import HOURS_PER_MONTH
from slipway.dashboards import standard
from tests.support import composed, promtool
from tests.support import dashboards as support
from tests.support import rendered as r
from tests.support.dashboards import files
from toolchain import paths

RUNBOOKS = paths.ROOT / "docs" / "runbooks"
STANDARD = standard()
QUERIES = list(support.queries(*STANDARD))
NO_RULES = "groups: []\n"
MODEL: dict[str, Any] = {"model_image": "employment"}


def drawn(board: Board) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(drawing.text(board))
    return found


def given(name: str, value: float, **labels: str) -> dict[str, str]:
    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": f"{value}x60"}


def grows(name: str, by: float, **labels: str) -> dict[str, str]:
    return {**given(name, 0, **labels), "values": f"0+{by}x60"}


def of_node(name: str, kind: str, paid: str, pool: str = "") -> dict[str, str]:
    where = {"node_name": name, "instance_type": kind, "zone": "z"}
    more = {"capacity_type": paid, "nodepool": pool}
    labels = {**where, **{k: v for k, v in more.items() if v}}
    return given("karpenter_nodes_allocatable", 4, resource_type="cpu", **labels)


def price(kind: str, paid: str, usd: float) -> dict[str, str]:
    name = "karpenter_cloudprovider_instance_type_offering_price_estimate"
    return given(name, usd, instance_type=kind, capacity_type=paid, zone="z")


NODES = [
    of_node("spot", "g6.xlarge", "spot", "gpu"),
    of_node("reserved", "g6.xlarge", "reserved", "gpu"),
    of_node("managed", "m7i.large", ""),
    of_node("strange", "x1.huge", "on-demand", "gpu"),
    price("g6.xlarge", "spot", 0.25),
    price("g6.xlarge", "on-demand", 1),
    price("g6.xlarge", "reserved", 0.00000008),
    price("m7i.large", "on-demand", 0.5),
]


def queries_of(board: str, title: str) -> list[str]:
    found = [q.expr for q in QUERIES if (q.board.name, q.panel.title) == (board, title)]
    assert found
    return [support.filled(expr, {}) for expr in found]


@pytest.mark.programs
def test_nodes_are_priced_by_how_they_are_paid(tmp_path: Path) -> None:
    """Reserved ones at the list price, not at the 0 by which Karpenter prefers them."""
    (hour,), (lost,) = (
        queries_of("cost", title) for title in ("An hour", "Nodes without a price")
    )
    (pools,) = queries_of("cost", "By pool")
    wanted: dict[str, Any] = {
        hour: [("{}", 1.75)],
        lost: [("{}", 1)],
        pools: [('{nodepool="gpu"}', 1.25), ("{}", 0.5)],
    }
    assert not promtool.difference(tmp_path, NO_RULES, NODES, wanted)


@pytest.mark.programs
def test_a_server_costs_its_share_of_the_processor_time(tmp_path: Path) -> None:
    used, where = "container_cpu_usage_seconds_total", {"node": "managed"}
    model = {"namespace": "models", "pod": "m-1"}
    series = [
        *NODES,
        grows(used, 3, container="server", **model, **where),
        grows(used, 1, container="dns", namespace="kube-system", pod="d", **where),
        given("up", 1, job="pods", app="model-server", server="m", **model),
    ]
    (expr,) = queries_of("cost", "By model server")
    wanted = {expr: [('{namespace="models",server="m"}', 0.375)]}
    assert not promtool.difference(tmp_path, NO_RULES, series, wanted)


def test_the_month_is_that_of_slipway_cost() -> None:
    assert HOURS_PER_MONTH == cost.HOURS_PER_MONTH


def lab() -> ModelsSettings:
    with composed.locked(r.IMAGES):
        return stack_settings.load("models.lab", ModelsSettings)


def limits(boards: tuple[Board, ...]) -> dict[str, list[Limit]]:
    found: dict[str, list[Limit]] = {}
    for board in boards:
        for panel in board.panels:
            if panel.limit:
                found.setdefault(panel.limit.alert, []).append(panel.limit)
    return found


def ends_in(expression: str, limit: float | None, sign: str = ">") -> bool:
    return f"{sign} {limit:g}" in expression


def test_thresholds_are_the_alerts_of_the_models() -> None:
    settings = lab()
    found = limits(of_models.boards(settings))
    for name, args in settings.models.items():
        told = {a.name: a for a in rules.alerts(name, 's="x"', "60s", args.alerts)}
        for alert in told.keys() & found.keys():
            for limit in found[alert]:
                assert ends_in(told[alert].expression, limit.values[name]), alert
    assert {
        "ModelErrorRatioHigh",
        "ModelLatencyHigh",
        "ModelQueueSlow",
        "ModelSaturated",
    } <= found.keys()


def test_thresholds_are_what_the_monitor_decides_by() -> None:
    settings = lab()
    found = limits(of_models.boards(settings))
    told = monitor_alerts.alerts("models", settings.monitor, settings.watched)
    by_name = {alert.name: alert.expression for alert in told}
    (coverage,) = found["ModelLabelCoverageLow"]
    assert ends_in(by_name["ModelLabelCoverageLow"], coverage.values["employment"], "<")
    (stale,) = found["ModelLogStale"]
    assert ends_in(by_name["ModelLogStale"], stale.values["employment"])
    (cycle,) = found["MonitorCycleStale"]
    assert ends_in(by_name["MonitorCycleStale"], cycle.common)
    (behind,) = found["LogShipperBehind"]
    assert ends_in(by_name["LogShipperBehind"], behind.common)
    text = monitor_file.text(MonitorSettings(image="x"), settings.watched)
    (model,) = json.loads(text)["models"]
    drift = {limit.values["employment"] for limit in found["ModelDataDrift"]}
    assert drift == {model["drift"]["effect_floor"], model["drift"]["alpha"]}
    for limit in found["ModelConceptDrift"]:
        assert limit.values == {"employment": model["concept"]["h"]}
    fair = {one.values["employment"] for one in found["ModelFairnessOutsideLimits"]}
    assert fair == set(map(model["fairness"].get, ("ratio_floor", "difference_limit")))


def test_thresholds_are_the_platforms() -> None:
    wanted = AlertThresholds(gateway_error_ratio=0.07)
    boards = sets.of_platform(wanted, gateway=True, gpus=True, prices=True)
    told = {
        alert.name: alert.expression
        for alert in platform_alerts.alerts(wanted, gateway=True, gpus=True)
    }
    found = limits(boards)
    for name in ("GatewayErrorRatioHigh", "TargetDown"):
        (limit,) = found[name]
        assert ends_in(told[name], limit.common), name
    assert found["GatewayErrorRatioHigh"][0].common == 0.07


def test_a_limit_is_drawn_red() -> None:
    board = next(board for board in STANDARD if board.name == "fleet")
    (panel,) = [p for p in drawn(board)["panels"] if p["title"] == "Share of 5xx"]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    default = AlertThresholds().gateway_error_ratio
    assert steps == [
        {"color": "green", "value": None},
        {"color": "red", "value": default},
    ]
    assert panel["description"].endswith("Red: the alert GatewayErrorRatioHigh.")
    drift = next(board for board in STANDARD if board.name == "models-drift")
    (low,) = [p for p in drawn(drift)["panels"] if p["title"].startswith("Adjusted")]
    steps = low["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["color"] for step in steps] == ["red", "green"]


@pytest.mark.programs
def test_limits_that_differ_are_lines_of_their_own(tmp_path: Path) -> None:
    settings = {"error_percent": 5}
    found = r.models(
        dashboards={"enabled": True},
        models={"one": MODEL, "two": {**MODEL, "alerts": settings, "route": None}},
    )
    board = json.loads(files(found)["dashboard-models-model"])
    (panel,) = [p for p in board["panels"] if p["title"] == "Failed share"]
    lines = [t for t in panel["targets"] if t["legendFormat"].startswith("limit")]
    exprs = [support.filled(t["expr"], {"server": ".+"}) for t in lines]
    assert "thresholdsStyle" not in panel["fieldConfig"]["defaults"].get("custom", {})
    ready = [
        given("model:replicas_ready:sum", 2, namespace="models", server=name)
        for name in ("one", "two")
    ]
    wanted = {
        exprs[0]: [('{server="one"}', 0.01)],
        exprs[1]: [('{server="two"}', 0.05)],
    }
    assert not promtool.difference(tmp_path, NO_RULES, ready, wanted)


def test_every_alert_that_a_panel_names_has_its_runbook() -> None:
    named = limits(STANDARD).keys()
    assert len(named) >= 10
    assert all((RUNBOOKS / f"{name}.md").is_file() for name in named)
