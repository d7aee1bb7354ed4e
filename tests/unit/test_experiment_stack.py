"""A model with an experiment in a stack: its route, its policy, its log, its plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model_monitor.config_fields import Fields
from model_monitor.experiments.settings import parse as parse_section
from rollout import objects

from components.delivery.experiment_settings import (
    MOST_SALT,
    SALTS,
    ExperimentSettings,
    salt_header,
)
from components.delivery.rollout_file import EXPERIMENT_KEY
from components.settings import SettingsError, parse
from slipway.compose.objects import Objects
from slipway.compose.stack import translated
from slipway.provider.inputs import ModelServerInputs
from slipway.rendering.render import Rendered
from tests.support import platform
from tests.support import rendered as r
from tests.support.live_weights import live_route, refused
from tests.support.routes import Object, named

KEY = "/etc/prediction-log/key"
EXPERIMENT: Object = {
    "control": "champion",
    "shares": {"champion": 80, "challenger": 20},
    "assign_by": {"header": "x-user-id", "salt": 5},
    "unit": "caller",
    "metric": {"kind": "accuracy", "labels_within_hours": 48},
    "also": [{"kind": "absolute_error", "labels_within_hours": 24}],
    "minimum_effect": 0.01,
    "rule": "group_sequential",
    "planned_units": 40000,
    "days": 14,
}
REVISIONS = {
    "challenger": {"model_image": "base"},
    "champion": {"model_image": "employment"},
}


def model(**changes: Any) -> Object:
    return {
        "route": {"prefix": "/employment/v1"},
        "revisions": REVISIONS,
        "secrets": {"log-hash": {"files": {KEY: "key"}}},
        "environment": {"MODEL_SERVER_PREDICTION_LOG_HASH_KEY_FILE": KEY},
        "prediction_log": {"sink": "monitor"},
        "monitor": {},
        "experiment": EXPERIMENT | changes,
    }


def render(**changes: Any) -> Rendered:
    monitor = {"labels_secret": "labels"}
    return r.models(models={"employment": model(**changes)}, monitor=monitor)


@pytest.fixture(scope="module")
def one() -> Rendered:
    return render()


def spec(rendered: Rendered, kind: str, name: str = "employment") -> Object:
    found: Object = named(rendered)[kind, name]["spec"]
    return found


def variables(rendered: Rendered, name: str) -> dict[str, Any]:
    pod = spec(rendered, "Deployment", name)["template"]["spec"]
    (found,) = pod["containers"]
    return {it["name"]: it.get("value") for it in found["env"]}


@pytest.mark.parametrize("route", ["employment", "employment-traffic"])
def test_callers_are_hashed_with_the_chosen_salts(one: Rendered, route: str) -> None:
    policy = spec(one, "BackendTrafficPolicy", route)
    assert policy["loadBalancer"] == {
        "type": "ConsistentHash",
        "consistentHash": {
            "type": "Headers",
            "headers": [
                {"name": "x-user-id"},
                {"name": "x-experiment-salt-0"},
                {"name": "x-experiment-salt-2"},
            ],
        },
    }
    assert [it["name"] for it in policy["targetRefs"]] == [route]
    drawn = render(assign_by=None, unit="request")
    assert "loadBalancer" not in spec(drawn, "BackendTrafficPolicy", route)


def test_the_controller_owns_the_weights_as_in_a_rollout(one: Rendered) -> None:
    (rule,) = spec(one, "HTTPRoute", "employment-traffic")["rules"]
    # Control first and the treatment last: a larger share takes callers of it alone.
    assert [(it["name"], it["weight"]) for it in rule["backendRefs"]] == [
        ("employment-champion", 100),
        ("employment-challenger", 0),
    ]
    # A filter for each backend makes Envoy Gateway draw between them by the hash.
    assert all(it["filters"] for it in rule["backendRefs"])
    routes = {x.name: x for x in one.resources if x.type.endswith(":HTTPRoute")}
    assert routes["employment-traffic"].ignore_changes == ("spec.rules",)
    settings, _ = objects.read_settings(named(one)["ConfigMap", "rollout-employment"])
    assert [(it.weight, it.approval) for it in settings.steps] == [
        (20, False),
        (99, True),
    ]
    assert (settings.stable, settings.canary) == ("champion", "challenger")
    assert (settings.deadline_hours, settings.sample_ratio) == (336.0, False)


def test_the_total_of_the_weights_never_changes(one: Rendered) -> None:
    """Envoy takes the hash modulo the total (delivery.md, A1)."""
    settings, _ = objects.read_settings(named(one)["ConfigMap", "rollout-employment"])
    assert {sum(settings.weights(it).values()) for it in range(101)} == {100}


def test_servers_log_the_caller_and_the_plan_is_beside_the_settings(
    one: Rendered,
) -> None:
    for name in ("employment-champion", "employment-challenger"):
        found = variables(one, name)
        assert found["MODEL_SERVER_PREDICTION_LOG_UNIT_HEADER"] == "x-user-id"
    data = named(one)["ConfigMap", "rollout-employment"]["data"]
    plan = json.loads(data[EXPERIMENT_KEY])
    assert (plan["control"], plan["treatment"]) == ("champion", "challenger")
    assert (plan["share"], plan["planned_units"]) == (0.2, 40000)
    assert [it["better"] for it in plan["metrics"]] == ["higher", "lower"]
    assert plan["metrics"][0]["labels_within_seconds"] == 48 * 3600
    drawn = render(assign_by=None, unit="request")
    assert "MODEL_SERVER_PREDICTION_LOG_UNIT_HEADER" not in variables(
        drawn, "employment-champion"
    )


def test_each_salt_is_another_choice_of_headers() -> None:
    chosen = set()
    for salt in range(MOST_SALT + 1):
        raw = EXPERIMENT | {"assign_by": {"header": "x-user-id", "salt": salt}}
        headers = parse(ExperimentSettings, raw, "experiment").hashed()
        assert headers[0] == "x-user-id"
        chosen.add(tuple(headers))
    assert len(chosen) == 16


def test_the_gateway_sets_the_salts_before_it_routes() -> None:
    usual = platform.only(platform.lab(), "ClientTrafficPolicy", "slipway")["spec"]
    assert "set" not in usual["headers"]["earlyRequestHeaders"]
    salted = platform.rendered(gateway={"experiment_salts": True})
    policy = platform.only(salted, "ClientTrafficPolicy", "slipway")["spec"]
    early = policy["headers"]["earlyRequestHeaders"]
    # A caller's own header is replaced, and the values differ.
    assert [it["name"] for it in early["set"]] == [
        salt_header(it) for it in range(SALTS)
    ]
    assert len({it["value"] for it in early["set"]}) == SALTS
    assert (
        early["addIfAbsent"] == usual["headers"]["earlyRequestHeaders"]["addIfAbsent"]
    )


def test_programs_in_other_languages_are_refused() -> None:
    image = f"host/model@sha256:{'0' * 64}"
    log = {"sink": "monitor", "shipper": image}
    given = model() | {"image": image, "prediction_log": log}
    given["revisions"] = {name: {"model_image": image} for name in REVISIONS}
    with pytest.raises(SettingsError) as caught:
        parse(ModelServerInputs, given, "inputs")
    (problem,) = caught.value.problems
    assert problem.path == "experiment"
    assert "cannot create the rollout controller" in problem.reason


def test_compose_refuses_the_experiment() -> None:
    with pytest.raises(SettingsError) as caught:
        translated("models.test", Objects.of(render().manifests), Objects(()))
    (problem,) = caught.value.problems
    assert problem.path == "models.employment.experiment"
    assert problem.fix.startswith("remove experiment and give the revisions weights")


def test_an_experiment_begins_once_no_third_revision_has_requests() -> None:
    three = REVISIONS | {"first": {"model_image": "employment"}}
    models = {"employment": model() | {"revisions": three}}
    wanted = r.models(models=models, monitor={"labels_secret": "labels"})
    (problem,) = refused(wanted, live_route({"first": 40, "champion": 60}))
    assert problem.path == "models.employment.experiment"
    assert "first 40 %" in problem.reason
    assert "`slipway experiment conclude` or `stop`" in problem.fix
    assert refused(wanted, live_route({"first": 0, "champion": 100})) == []


def test_a_revision_with_weight_of_an_experiment_is_not_removed() -> None:
    alone = {"champion": {"model_image": "employment", "weight": 100}}
    models = {"employment": model() | {"revisions": alone, "experiment": None}}
    without = r.models(models=models)
    (problem,) = refused(without, live_route({"champion": 80, "challenger": 20}))
    assert problem.path == "models.employment.revisions.challenger"
    assert "`slipway experiment stop`" in problem.fix


def test_a_revision_goes_after_the_experiments_route_has_let_go_of_it() -> None:
    (problem,) = refused(render(), live_route({"first": 0, "champion": 100}))
    assert problem.path == "models.employment.revisions.first"
    assert "change experiment to the next pair" in problem.fix


def test_the_monitor_asks_the_controller_for_experiments(one: Rendered) -> None:
    (config,) = [
        json.loads(it["data"]["config.json"])
        for it in one.manifests
        if it["kind"] == "ConfigMap"
        and it["metadata"]["name"].startswith("model-monitor-")
    ]
    section = config["experiments"]
    found = parse_section(Fields("experiments", section, []))
    assert found.servers == ("employment",)
    assert (found.controller.host, found.controller.port) == (
        "rollout-controller",
        9479,
    )
    egress = spec(one, "NetworkPolicy", "model-monitor")["egress"]
    (rule,) = [it for it in egress if it["ports"][0]["port"] == 9479]
    controller = {"app.kubernetes.io/name": "rollout-controller"}
    assert rule["to"] == [{"podSelector": {"matchLabels": controller}}]
    (ingress,) = spec(one, "NetworkPolicy", "rollout-controller")["ingress"]
    monitor = {"app.kubernetes.io/name": "model-monitor"}
    assert {"podSelector": {"matchLabels": monitor}} in ingress["from"]
    (port,) = spec(one, "Service", "rollout-controller")["ports"]
    assert port["port"] == 9479


def test_without_an_experiment_the_monitor_reaches_no_controller() -> None:
    rollout = model() | {"rollout": {"from": "champion", "to": "challenger"}}
    del rollout["experiment"]
    found = r.models(
        models={"employment": rollout}, monitor={"labels_secret": "labels"}
    )
    egress = spec(found, "NetworkPolicy", "model-monitor")["egress"]
    assert not [it for it in egress if it["ports"][0]["port"] == 9479]
    assert ("Service", "rollout-controller") not in named(found)
