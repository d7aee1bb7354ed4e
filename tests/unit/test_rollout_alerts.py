"""Alerts on rollouts: rules, runbooks, and the series that they are made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from rollout.metrics import MetricsCollector
from rollout.status import Order, OrderKind, Phase, Status
from rollout.verdict import Outcome, Verdict
from rollout.watched import Watched

from components import naming
from components.delivery import alerts
from components.delivery.settings import DeliverySettings
from tests.support import promtool
from tests.support import rendered as r
from tests.support.prometheus_text import samples
from tests.support.routes import ROUTES, named
from toolchain import paths

RUNBOOKS = paths.ROOT / "docs" / "runbooks"
REFERENCE = paths.ROOT / "docs" / "reference" / "alerts.md"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
SETTINGS = DeliverySettings()
TEXT = alerts.rule_file("models", SETTINGS)
ALERTS = {one.name: one for one in alerts.alerts("models", SETTINGS)}
WHERE = 'namespace="models",target="m"'
UP = {
    "series": 'up{app="rollout-controller",namespace="models",pod="p"}',
    "values": "1x480",
}


def series(name: str, values: str, more: str = "") -> dict[str, str]:
    return {"series": f"{name}{{{WHERE}{more}}}", "values": values}


TICKED = series("rollout_last_tick_timestamp_seconds", "0+15x480")
BACK = series("rollout_phase", "1x480", ',phase="back"')
STEP = series("rollout_step_timestamp_seconds", "3000x480")
FREE = series("rollout_order_stands", "0x480")
FIRING = {
    "RolloutControllerDown": [{**UP, "values": "1x20 0x460"}],
    "RolloutControllerStale": [
        UP,
        series("rollout_last_tick_timestamp_seconds", "0+15x20 300x460"),
    ],
    "RolloutStopped": [series("rollout_verdict", "1x480", ',verdict="stop"')],
    "RolloutBack": [BACK, STEP, FREE],
    "RolloutWaitsForData": [series("rollout_waits_for_data", "1x480")],
}
SILENT = [
    UP,
    TICKED,
    series("rollout_verdict", "0x480", ',verdict="stop"'),
    series("rollout_verdict", "1x480", ',verdict="hold"'),
    series("rollout_phase", "0x480", ',phase="back"'),
    series("rollout_phase", "1x480", ',phase="running"'),
    STEP,
    FREE,
    series("rollout_waits_for_data", "0x480"),
]
QUIET = {
    "a person's own order": (
        "RolloutBack",
        [BACK, STEP, series("rollout_order_stands", "1x480")],
    ),
    "a revision that was promoted": (
        "RolloutBack",
        [series("rollout_phase", "1x480", ',phase="promoted"'), STEP, FREE],
    ),
    "a gap of some minutes": (
        "RolloutWaitsForData",
        [series("rollout_waits_for_data", "0x300 1x100 0x80")],
    ),
    "a stop for a moment": (
        "RolloutStopped",
        [series("rollout_verdict", "0x465 1x15", ',verdict="stop"')],
    ),
}


def test_every_alert_is_seen_firing() -> None:
    assert set(FIRING) == set(ALERTS)


@pytest.mark.programs
def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    assert promtool.lint(tmp_path, TEXT) == ""


@pytest.mark.programs
@pytest.mark.parametrize("name", FIRING)
def test_it_fires(name: str, tmp_path: Path) -> None:
    assert promtool.fires(tmp_path, TEXT, name, FIRING[name], "2h")


@pytest.fixture(scope="module")
def of_silent(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What fires for a rollout that has nothing to tell."""
    folder = tmp_path_factory.mktemp("silent")
    return promtool.firing(folder, TEXT, SILENT, "2h")[0]


@pytest.mark.programs
@pytest.mark.parametrize("name", FIRING)
def test_it_is_silent(name: str, of_silent: set[str]) -> None:
    assert name not in of_silent


@pytest.mark.programs
@pytest.mark.parametrize("case", QUIET)
def test_it_does_not_fire_for(case: str, tmp_path: Path) -> None:
    name, given = QUIET[case]
    assert not promtool.fires(tmp_path, TEXT, name, given, "2h")


@pytest.mark.programs
def test_a_revision_that_was_taken_back_long_ago_is_no_news(tmp_path: Path) -> None:
    given = [
        {**one, "values": one["values"].replace("x480", "x6000")}
        for one in (BACK, STEP, FREE)
    ]
    rules = promtool.alone(TEXT, "RolloutBack")
    at_24, at_25 = promtool.firing(tmp_path, rules, given, "24h", "25h")
    assert "RolloutBack" in at_24
    assert "RolloutBack" not in at_25


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_its_runbook_and_its_heading(name: str) -> None:
    runbook = (RUNBOOKS / f"{name}.md").read_text()
    assert runbook.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", runbook, re.MULTILINE) == SECTIONS
    assert f"\n## {name}\n" in REFERENCE.read_text()
    assert f"runbooks/{name}.md" in REFERENCE.read_text()


def exported(watched: Watched) -> dict[str, Any]:
    return samples(generate_latest(MetricsCollector({"m": watched})).decode())


def test_the_series_are_those_that_the_controller_exports() -> None:
    order = Order(1, OrderKind.BACK, "alice", "bad", 5)
    status = Status("g", 1, 7, weight=25, phase=Phase.BACK, order=order)
    outcome = Outcome(Verdict.HOLD, "no labels", lacks_data=True)
    found = exported(Watched(outcome, status, ticked=9.0, looked=9.0))
    asked = set(re.findall(r"rollout_[a-z_]+(?=\{)", TEXT))
    assert asked == {
        "rollout_last_tick_timestamp_seconds",
        "rollout_order_stands",
        "rollout_phase",
        "rollout_step_timestamp_seconds",
        "rollout_verdict",
        "rollout_waits_for_data",
    }
    assert asked <= {name for name, *_ in found}


def test_before_it_has_begun_a_rollout_has_no_phase() -> None:
    text = generate_latest(MetricsCollector({"m": Watched()})).decode()
    assert "rollout_phase{" not in text
    assert "rollout_waits_for_data{" not in text
    # Never looked at: the dead-man's alert counts from 1970.
    assert 'rollout_last_tick_timestamp_seconds{target="m"} 0.0' in text


def test_the_stack_has_the_rules_where_there_is_a_rollout() -> None:
    revisions = {
        name: {"model_image": "employment"} for name in ("champion", "challenger")
    }
    rollout = {"from": "champion", "to": "challenger"}
    model = {"routes": ROUTES, "revisions": revisions, "rollout": rollout}
    delivery = {"runbooks": "https://runbooks.example.com"}
    found = named(r.models(models={"employment": model}, delivery=delivery))
    rules = found["ConfigMap", "rules-models-rollout-controller"]
    assert rules["metadata"]["namespace"] == naming.MONITORING_NAMESPACE
    assert rules["metadata"]["labels"][naming.RULES_LABEL] == "true"
    (text,) = rules["data"].values()
    assert "https://runbooks.example.com/RolloutBack.md" in text
    controller = found["Deployment", naming.ROLLOUT_CONTROLLER]
    labels = controller["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "rollout-controller"
