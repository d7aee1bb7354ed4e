"""What alerts keep in mind: events that are over, and how long a state has lasted.

Neither may live in Prometheus' memory, or in a gauge that the next event overwrites.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.observability import holding, platform_alerts
from components.observability.settings import AlertThresholds
from components.serving.alerts import rules as model_rules
from components.serving.args.model_server_args import ModelServerArgs
from tests.support import promtool
from tests.support.rendered import reference

ALERTS = platform_alerts.alerts(AlertThresholds(), gateway=True, gpus=True)


def series(name: str, values: str) -> dict[str, str]:
    return {"series": name, "values": values}


OF_GPU = 'gpu="0",node="n",UUID="GPU-1",modelName="L4"'
XID = f"DCGM_FI_DEV_XID_ERRORS{{{OF_GPU}}}"
REMAP = f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{OF_GPU}}}"
EXPORTER = series('up{app="dcgm-exporter",node="n"}', "1x60")


def counted(xid: int) -> str:
    return f'DCGM_EXP_XID_ERRORS_COUNT{{{OF_GPU},xid="{xid}"}}'


SEEN_ONCE: dict[str, list[dict[str, str]]] = {
    "the next XID overwrites it": [series(XID, "0 0 48 45x60")],
    "a reset overwrites it": [series(XID, "0 48 0x60")],
    "the GPU is gone from the bus": [series(XID, "0 0 79 _x60")],
    "two between scrapes": [
        series(XID, "0 0 45x60"),
        series(counted(48), "_ _ 1x20 _x60"),
        series(counted(45), "_ _ 1x20 _x60"),
    ],
    "its rows are told of once": [series(REMAP, "0 0 1 _x60")],
} | {
    f"XID {xid}": [series(XID, f"0 {xid} 13x60")] for xid in platform_alerts.FATAL_XIDS
}
"""A GPU's failure as Prometheus sees it: at one scrape, and never again."""

STATES = {
    "up": "each scrape says anew whether the target answers",
    "prometheus_config_last_reload_successful": "until the next reload is right",
    "model_ready": "each scrape says anew whether the replica is ready",
    "model_inflight": "a series that is there or not",
    "model:saturation:max": "capacity in use now",
    "DCGM_FI_DEV_GPU_TEMP": "how hot the GPU is now",
    "DCGM_FI_DEV_FB_USED": "memory in use now",
    "DCGM_FI_DEV_FB_FREE": "memory in use now",
    "waker_asleep": "each scrape says anew whether the model sleeps",
    "model:errors:ratio": "recorded from counters",
    "model:latency_seconds:p99": "recorded from counters",
    "model:queue_seconds:p99": "recorded from counters",
    holding.WATCHED: "recorded for as long as the rules are there",
}
"""Gauges of alerts whose next value is the truth; the others have to be remembered."""
OVER_TIME = re.compile(r"\b(?:rate|increase|changes|\w+_over_time)\s*\(([\w:]+)")
WORDS = {"and", "bool", "by", "on", "or", "unless"}


def gpu_failed(folder: Path, given: list[dict[str, str]]) -> bool:
    rules = platform_alerts.rule_file(ALERTS, "docs/runbooks")
    return promtool.fires(folder, rules, "GpuFailed", given)


@pytest.mark.programs
@pytest.mark.parametrize("how", SEEN_ONCE)
def test_a_failure_that_was_seen_once_is_remembered(tmp_path: Path, how: str) -> None:
    assert gpu_failed(tmp_path, [EXPORTER, *SEEN_ONCE[how]])


@pytest.mark.programs
def test_a_failure_ends_with_its_node(tmp_path: Path) -> None:
    gone = series('up{app="dcgm-exporter",node="other"}', "1x60")
    given = [gone, series(XID, "0 48 45x60")]
    assert not gpu_failed(tmp_path, given)


def gauges(expression: str) -> set[str]:
    """Metrics of which an expression reads the last value alone."""
    for ignored in (r'"[^"]*"', r"\{[^}]*\}", r"\[[^\]]*\]", r"\b(on|by) ?\([^)]*\)"):
        expression = re.sub(ignored, "", expression)
    names = set(re.findall(r"\b[a-zA-Z_][\w:]*\b(?!\s*\()", expression))
    return names - set(OVER_TIME.findall(expression)) - WORDS


def test_every_gauge_of_an_alert_is_a_state_or_remembered() -> None:
    args = ModelServerArgs(model_image=reference("a"), image=reference("b"))
    files = [
        platform_alerts.rule_file(ALERTS, "r"),
        model_rules.rule_file("m", "models", args),
    ]
    told = [
        *model_rules.scaling_alerts("m", 'server="m"', "300s"),
        *model_rules.idle_alerts("m", 'target="m"', "300s"),
    ]
    expressions = [alert.expression for alert in (*ALERTS, *told)]
    for text in files:
        (group,) = yaml.safe_load(text)["groups"]
        assert not [rule for rule in group["rules"] if "for" in rule]
        expressions += [rule["expr"] for rule in group["rules"] if "alert" in rule]
    found = {name for text in expressions for name in gauges(text)}
    assert found <= set(STATES), found - set(STATES)


def test_gauges_are_distinguished_from_what_is_looked_at_over_time() -> None:
    said = 'max by (gpu) (A{x="b"}) == 1 or increase(B[5m]) > 0 and on() C'
    assert gauges(said) == {"A", "C"}


WATCHED = series(f'{holding.WATCHED}{{group="g"}}', "1x60")
HELD = "a restart is bridged", [WATCHED, series("down", "0x28 1x4 _x4 1x60")], True
TRUE_FOR = [
    ("long enough", [WATCHED, series("down", "0x26 1x60")], True),
    ("not long enough", [WATCHED, series("down", "0x36 1x60")], False),
    ("with a break", [WATCHED, series("down", "1x35 0 1x60")], False),
    ("no more", [WATCHED, series("down", "1x39 0x60")], False),
    ("before anybody watched", [series("down", "1x60")], False),
    (
        "watched since a moment",
        [
            series("down", "1x60"),
            series(f'{holding.WATCHED}{{group="g"}}', "_x36 1x60"),
        ],
        False,
    ),
    HELD,
]


@pytest.mark.programs
@pytest.mark.parametrize(("how", "given", "wanted"), TRUE_FOR)
def test_a_condition_must_hold(
    tmp_path: Path, how: str, given: Any, wanted: bool
) -> None:
    """For two minutes, seen at minute ten: by samples alone, as after a restart."""
    expression = holding.held("down == 1", 120, "g")
    assert promtool.has_value(tmp_path, expression, "10m", given) is wanted, how


@pytest.mark.programs
@pytest.mark.parametrize("seconds", [5, 7, 30, 45, 60, 120, 480])
def test_a_condition_holds_after_its_time_and_not_before(
    tmp_path: Path, seconds: int
) -> None:
    """True from second 60 on; a sample is a second's."""
    expression = holding.held("down == 1", seconds, "g")
    given = [
        series(f'{holding.WATCHED}{{group="g"}}', "1x60"),
        series("down", "0x3 1x60"),
    ]
    step = -(-seconds // holding.POINTS)
    before, after = 60 + seconds - 2 * step - 1, 60 + seconds + 1
    assert not promtool.has_value(tmp_path, expression, f"{before}s", given)
    assert promtool.has_value(tmp_path, expression, f"{after}s", given)
    assert holding.held("down == 1", 0, "g") == "down == 1"
