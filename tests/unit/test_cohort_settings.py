"""Gates of predictions in a stack: what the controller and the monitor are given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model_monitor import config as monitor_config
from rollout import objects
from rollout.cohorts import SHIPPED_SECONDS, What

from components import naming
from components.delivery import cohort_file, cohort_gates
from components.delivery.cohort_gates import CohortSettings
from components.settings import SettingsError
from slipway.rendering.render import Rendered
from tests.support import rendered as r
from tests.support.routes import ROUTES, named

GATES: dict[str, Any] = {
    "errors": {"tolerate_points": 0.5},
    "quality": {"metric": "recall", "tolerate_points": 2},
    "fairness": {
        "attribute": "SEX",
        "groups": ["1", "2"],
        "rate": "true_positive",
        "tolerate_points": 5,
    },
    "scores": {"tolerate_points": 10},
}
COHORTS = {"labels_within_hours": 24, "min_coverage": 0.7}
MODEL: dict[str, Any] = {
    "routes": ROUTES,
    "model": "income",
    "revisions": {
        "champion": {"model_image": "employment"},
        "challenger": {"model_image": "base", "arm": "canary"},
    },
    "prediction_log": {"sink": "monitor"},
    "monitor": {"fairness": {"attributes": ["SEX"]}},
    "rollout": {
        "from": "champion",
        "to": "challenger",
        "steps": [{"weight": 50}],
        "gates": GATES,
        "cohorts": COHORTS,
    },
}


def render(**models: Any) -> Rendered:
    monitor = {"labels_secret": "labels"}
    return r.models(models=models or {"employment": MODEL}, monitor=monitor)


@pytest.fixture(scope="module")
def one() -> Rendered:
    return render()


def test_the_controller_reads_the_gates(one: Rendered) -> None:
    told = named(one)["ConfigMap", "rollout-employment"]
    settings, _ = objects.read_settings(told)
    assert settings.plain() == json.loads(told["data"]["settings.json"])
    _, quality, first, second, scores = settings.gates
    assert quality.cohorts
    assert (quality.cohorts.what, quality.cohorts.model) == (What.RECALL, "income")
    assert (quality.tolerate, quality.min_coverage) == (0.02, 0.7)
    assert quality.cohorts.labels_seconds == 24 * 3600
    assert [it.name for it in (first, second)] == ["fairness SEX=1", "fairness SEX=2"]
    assert second.cohorts
    assert (second.cohorts.group, second.cohorts.least_rows) == ("2", 200)
    assert scores.cohorts
    assert (scores.cohorts.labels_seconds, scores.min_coverage) == (0, 0)


def test_the_monitor_counts_what_they_need(one: Rendered) -> None:
    (file,) = [
        it["data"]["config.json"]
        for (kind, name), it in named(one).items()
        if kind == "ConfigMap" and name.startswith(naming.MODEL_MONITOR)
    ]
    problems: list[str] = []
    found = monitor_config.parse(json.loads(file), problems)
    assert problems == []
    (model,) = found.models
    assert model.intervals
    assert (model.intervals.seconds, model.intervals.days) == (3600, 4)
    assert model.intervals.groups == {"SEX": ("1", "2")}
    assert set(model.intervals.groups) <= {*model.fairness.attributes}


def peers(rules: list[dict[str, Any]], way: str) -> list[dict[str, str]]:
    return [
        peer["podSelector"].get("matchLabels", {})
        for rule in rules
        for peer in rule.get(way, [])
        if "podSelector" in peer and "namespaceSelector" not in peer
    ]


def test_the_controller_reaches_the_monitor(one: Rendered) -> None:
    found = named(one)
    controller = found["NetworkPolicy", naming.ROLLOUT_CONTROLLER]["spec"]
    monitor = found["NetworkPolicy", naming.MODEL_MONITOR]["spec"]
    name = "app.kubernetes.io/name"
    assert {name: naming.MODEL_MONITOR} in peers(controller["egress"], "to")
    assert {name: naming.ROLLOUT_CONTROLLER} in peers(monitor["ingress"], "from")
    pod = found["Deployment", naming.ROLLOUT_CONTROLLER]["spec"]["template"]["spec"]
    variables = {it["name"]: it["value"] for it in pod["containers"][0]["env"]}
    service = found["Service", naming.MODEL_MONITOR]["spec"]["ports"][0]["port"]
    assert variables["ROLLOUT_MONITOR"] == f"http://model-monitor:{service}"


def test_without_such_gates_nothing_of_it_is_there() -> None:
    rollout = {"from": "champion", "to": "challenger"}
    found = render(employment=MODEL | {"rollout": rollout})
    text = json.dumps([*found.manifests])
    assert "ROLLOUT_MONITOR" not in text
    assert '\\"intervals\\"' not in text
    monitor = named(found)["NetworkPolicy", naming.MODEL_MONITOR]["spec"]
    labels = {"app.kubernetes.io/name": naming.ROLLOUT_CONTROLLER}
    assert labels not in peers(monitor["ingress"], "from")


def test_intervals_divide_a_day() -> None:
    """The monitor counts each day by itself."""
    lengths = cohort_gates.Seconds.__args__  # type: ignore[attr-defined]
    assert all(86_400 % it == 0 for it in lengths)


def test_two_servers_of_a_model_are_counted_alike() -> None:
    other = MODEL | {"routes": [{"prefix": "/other/v1"}]}
    both = render(employment=MODEL, other=other)
    assert ("ConfigMap", "rollout-other") in named(both)
    shorter = COHORTS | {"interval_seconds": 1800}
    longer = MODEL["rollout"] | {"cohorts": shorter}
    with pytest.raises(SettingsError) as caught:
        render(employment=MODEL, other=other | {"rollout": longer})
    (problem,) = caught.value.problems
    assert problem.path == "models.other.rollout.cohorts"


def test_another_server_of_the_model_may_compare_pairs() -> None:
    shadow = {
        "percent": 20,
        "peak_requests_per_second": 10,
        "replica_requests_per_second": 40,
    }
    pairs = GATES | {"pairs": {"decisions": {"tolerate_points": 10}}}
    copied = {"shadow": shadow, "gates": pairs, "deadline_hours": 90}
    other = MODEL | {
        "routes": [{"prefix": "/other/v1"}],
        "rollout": MODEL["rollout"] | copied,
    }
    first = MODEL | {"rollout": MODEL["rollout"] | {"deadline_hours": 90}}
    found = named(render(employment=first, other=other))
    (file,) = [
        it["data"]["config.json"]
        for (kind, name), it in found.items()
        if kind == "ConfigMap" and name.startswith(naming.MODEL_MONITOR)
    ]
    (model,) = json.loads(file)["models"]
    assert model["intervals"]["pairs"] is True


def test_the_controller_waits_as_long_as_predictions_take_to_be_counted() -> None:
    quick = COHORTS | {"counted_within_seconds": 30}
    found = render(
        employment=MODEL | {"rollout": MODEL["rollout"] | {"cohorts": quick}}
    )
    told = named(found)["ConfigMap", "rollout-employment"]
    settings, _ = objects.read_settings(told)
    assert settings.plain() == json.loads(told["data"]["settings.json"])
    cohorts = [it.cohorts for it in settings.gates if it.cohorts]
    assert [it.shipped_seconds for it in cohorts] == [30] * len(cohorts)
    assert cohort_file.SHIPPED_SECONDS == SHIPPED_SECONDS
    assert CohortSettings().counted_within_seconds == SHIPPED_SECONDS
