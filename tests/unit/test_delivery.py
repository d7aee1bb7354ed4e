"""The rollout controller as a component, rendered alone, and what it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rollout import objects, web
from rollout.settings import MOST_INTERVALS as PROGRAM_INTERVALS
from rollout.settings import MOST_ROWS as PROGRAM_ROWS

from components.delivery import settings as delivery
from components.delivery.rollout_controller import PORT, Rollout, RolloutController
from components.delivery.settings import DeliverySettings, RolloutSettings
from components.settings import SettingsError, parse
from slipway.rendering.render import Rendered, render
from tests.support import pod_security
from tests.support.rendered import IMAGES, manifest

LEAST = {"from": "r1", "to": "r2"}
ALL: dict[str, Any] = LEAST | {
    "steps": [{"weight": 10}, {"weight": 50, "approval": True}],
    "interval_seconds": 60,
    "gates": {
        "errors": {"tolerate_points": 0.25, "rollback_when": "worse_than_tolerated"},
        "slow": {"above_milliseconds": 250, "tolerate_points": 1},
    },
}
PLACES = {"r1": "m-r1", "r2": "m-r2"}
RULES = [{"backendRefs": [{"name": "m-r1"}, {"name": "m-r2"}]}]


def rollout(**raw: Any) -> RolloutSettings:
    return parse(RolloutSettings, LEAST | raw, "rollout")


def rendered(**raw: Any) -> Rendered:
    def program() -> None:
        RolloutController(
            "rollout",
            DeliverySettings(),
            {"m": Rollout(rollout(**raw), PLACES, RULES)},
            namespace="models",
        )

    return render("models.test", config={}, images=IMAGES, program=program)


def config_map(found: Rendered, name: str) -> dict[str, Any]:
    (one,) = [
        it
        for it in found.manifests
        if it["kind"] == "ConfigMap" and it["metadata"]["name"] == name
    ]
    return one


def test_the_program_reads_what_the_component_writes() -> None:
    told = config_map(rendered(**ALL), "rollout-m")
    settings, places = objects.read_settings(told)
    assert (settings.server, settings.stable, settings.canary) == ("m", "r1", "r2")
    assert [step.weight for step in settings.steps] == [10, 50]
    assert settings.steps[1].approval
    errors, slow = settings.gates
    assert (errors.name, errors.tolerate) == ("errors", 0.0025)
    assert errors.rollback_when == "worse_than_tolerated"
    assert (slow.name, slow.of_good) == ("slow", True)
    # PromQL's text has escapes of its own: the bound's pattern is 250(\.0)?.
    assert slow.counters.canary.endswith('/backend/1",le=~"250(\\\\.0)?"}')
    assert settings.total.stable.endswith('/rule/[0-9]+/backend/0"}')
    metric, _, labels = settings.total.canary[:-1].partition("{")
    failed = 'envoy_response_code_class="5"'
    assert errors.counters.canary == f"{metric}{{{labels},{failed}}}"
    assert (settings.interval_seconds, settings.deadline_hours) == (60, 72.0)
    assert {it.service for it in places.values()} == {"m-r1", "m-r2"}
    assert objects.read_rules(told) == RULES
    assert settings.plain() == json.loads(told["data"]["settings.json"])


def test_defaults_are_what_the_program_takes() -> None:
    settings, _ = objects.read_settings(config_map(rendered(), "rollout-m"))
    assert [step.weight for step in settings.steps] == [5, 25, 50]
    assert (settings.min_intervals, settings.errors_allowed.false_rollback) == (
        30,
        0.05,
    )
    assert (delivery.MOST_ROWS, PORT) == (PROGRAM_ROWS, web.PORT)
    assert delivery.MOST_INTERVALS == PROGRAM_INTERVALS
    rollout(interval_seconds=24)


def test_the_status_is_the_controllers() -> None:
    found = rendered()
    assert "data" not in config_map(found, "rollout-m-status")
    (resource,) = [r for r in found.resources if r.name == "rollout-m-status"]
    assert resource.ignore_changes == ("data",)


def test_every_right_names_its_objects_but_to_create() -> None:
    rules = manifest(rendered(), "Role")["rules"]
    assert [rule["verbs"] for rule in rules if "resourceNames" not in rule] == [
        ["create"]
    ]
    named = {
        (name, verb)
        for rule in rules
        for name in rule.get("resourceNames", [])
        for verb in rule["verbs"]
    }
    assert named == {
        ("rollout-m", "get"),
        ("rollout-m-status", "get"),
        ("rollout-m-status", "update"),
        ("m-traffic", "get"),
        ("m-traffic", "update"),
        ("m-r1", "get"),
        ("m-r2", "get"),
    }


def test_it_reaches_the_api_server_prometheus_and_dns_alone() -> None:
    spec = manifest(rendered(), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert len(spec["egress"]) == 3
    (rule,) = spec["ingress"]
    assert [port["port"] for port in rule["ports"]] == [PORT]


def test_the_pod_is_restricted() -> None:
    pod = manifest(rendered(), "Deployment")["spec"]["template"]["spec"]
    assert pod_security.violations(pod) == []
    assert pod["automountServiceAccountToken"] is False
    environment = {it["name"]: it["value"] for it in pod["containers"][0]["env"]}
    assert environment["ROLLOUT_SERVERS"] == "m"


@pytest.mark.parametrize(
    ("raw", "path", "text"),
    [
        ({"steps": [{"weight": 50}, {"weight": 5}]}, "steps", "weights that rise"),
        ({"steps": []}, "steps", "weights that rise"),
        ({"steps": [{"weight": 0}]}, "steps.0.weight", "1"),
        ({"to": "r1"}, "to", "name another revision"),
        ({"interval_seconds": 10}, "interval_seconds", "give at least 24"),
        ({"interval_seconds": 23}, "interval_seconds", "give at least 24"),
        ({"gates": {"errors": {"tolerate_points": 0}}}, "tolerate_points", "0"),
        ({"errors_allowed": {"false_rollback": 0.6}}, "false_rollback", "0.5"),
        (
            {"gates": {"slow": {"above_milliseconds": 300, "tolerate_points": 1}}},
            "above_milliseconds",
            "250",
        ),
    ],
)
def test_what_is_wrong_is_reported(raw: dict[str, Any], path: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        rollout(**raw)
    (problem,) = caught.value.problems
    assert path in problem.path
    assert text in str(problem)
