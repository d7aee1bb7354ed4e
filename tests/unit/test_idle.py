"""What models that may sleep make beside their own: waker, rights, alerts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.serving.alerts import rules
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.routes import waker
from components.serving.settings.idle_settings import Idle
from components.serving.settings.scaling_settings import Scaling
from slipway.rendering.render import Rendered
from tests.support import pod_security, schemas
from tests.support import promtool as tool
from tests.support import rendered as r

SLEEPS = {"scaling": {"idle": {"wake_seconds": 8}}}
ASLEEP = {"series": 'waker_asleep{target="employment",namespace="models"}'}
READY = {
    "series": 'model_ready{server="employment",namespace="models"}',
    "values": "1x4 _x60",
}


@pytest.fixture(scope="module")
def found() -> Rendered:
    servers = {"b": {**r.EMPLOYMENT, **SLEEPS}, "a": {**r.EMPLOYMENT, **SLEEPS}}
    for name, server in servers.items():
        server["route"] = {"prefix": f"/{name}"}
    return r.models(models={**servers, "c": r.EMPLOYMENT})


def of_waker(found: Rendered, kind: str) -> dict[str, Any]:
    (one,) = (
        m
        for m in found.manifests
        if m["kind"] == kind and m["metadata"]["name"].startswith("waker")
    )
    return one


def test_nobody_sleeps_unasked() -> None:
    made = r.model().manifests
    assert not [m for m in made if m["metadata"]["name"].startswith("waker")]


def test_each_sleeper_has_a_port_of_its_own(found: Rendered) -> None:
    (text,) = of_waker(found, "ConfigMap")["data"].values()
    told = {model["name"]: model for model in json.loads(text)["models"]}
    assert {name: model["port"] for name, model in told.items()} == {
        "a": waker.FIRST_MODEL_PORT,
        "b": waker.FIRST_MODEL_PORT + 1,
    }
    rule = of_waker(found, "NetworkPolicy")["spec"]["ingress"][0]
    assert [p["port"] for p in rule["ports"]] == [20000, 20001]


def test_sleepers_let_the_waker_in_and_others_do_not(found: Rendered) -> None:
    wanted = {"podSelector": {"matchLabels": waker.naming.selector("waker")}}
    for m in found.manifests:
        if m["kind"] == "NetworkPolicy" and m["metadata"]["name"] in "abc":
            peers = m["spec"]["ingress"][0]["from"]
            assert (wanted in peers) == (m["metadata"]["name"] != "c")


def test_its_pods_are_restricted_and_its_rights_are_those_it_uses(
    found: Rendered,
) -> None:
    deployment = of_waker(found, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod_security.violations(pod) == []
    assert schemas.problems(deployment) == []
    allowed = {
        (resource, verb)
        for rule in of_waker(found, "Role")["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {resource for resource, _ in allowed} == {
        "deployments",
        "deployments/scale",
        "endpointslices",
    }
    assert ("deployments", "patch") not in allowed
    (scale,) = [
        rule
        for rule in of_waker(found, "Role")["rules"]
        if rule["resources"] == ["deployments/scale"]
    ]
    assert scale["resourceNames"] == ["a", "b", "c"], "one may have slept before"


def test_its_pods_ask_for_and_bound_their_disk(found: Rendered) -> None:
    pod = of_waker(found, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for kind in ("requests", "limits"):
        assert container["resources"][kind]["ephemeral-storage"] == "64Mi"


def test_it_goes_last(found: Rendered) -> None:
    """What it holds may wait for as long as the settings say."""
    pod = of_waker(found, "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > waker.SETTLE_SECONDS + 8


def rule_file() -> str:
    args = ModelServerArgs(
        model_image=r.reference("a"),
        image=r.reference("b"),
        scaling=Scaling(idle=Idle(wake_seconds=8)),
    )
    return rules.rule_file("employment", "models", args)


def firing(folder: Path, name: str, *series: dict[str, str]) -> bool:
    expression = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > 0'
    wanted = {f"{expression} or vector(0)": [("{}", 1)]}
    return not tool.difference(folder, rule_file(), list(series), wanted)


@pytest.mark.programs
def test_sleep_is_no_outage_and_an_outage_is_one(tmp_path: Path) -> None:
    name = "ModelWithoutReadyReplica"
    asleep, awake = ({**ASLEEP, "values": f"{n}x60"} for n in (1, 0))
    assert not firing(tmp_path, name, READY, asleep)
    assert firing(tmp_path, name, READY, awake)
    # Nobody knows whether it sleeps.
    assert firing(tmp_path, name, READY)


@pytest.mark.programs
def test_it_is_reported_if_callers_waited_in_vain(tmp_path: Path) -> None:
    name = "ModelDoesNotWake"
    asleep = {**ASLEEP, "values": "1x60"}
    labels = 'target="employment",namespace="models",reason="time"'
    refused = {"series": f"waker_refused_total{{{labels}}}"}
    assert firing(tmp_path, name, asleep, {**refused, "values": "0+1x60"})
    assert not firing(tmp_path, name, asleep, {**refused, "values": "7x60"})
    assert firing(tmp_path, name, READY), "no waker is there"


def test_the_alert_has_its_runbook() -> None:
    (group,) = yaml.safe_load(rule_file())["groups"]
    names = {rule["alert"] for rule in group["rules"] if "alert" in rule}
    assert "ModelDoesNotWake" in names
