"""What a stack with a shadow step has, and what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from rollout import mirror, objects
from rollout.actions import WriteRoute

from components.delivery import rollout_file
from components.settings import SettingsError
from tests.support import rendered as r
from tests.support.routes import ROUTES, Object, named

SHADOW = {
    "percent": 20,
    "peak_requests_per_second": 100,
    "replica_requests_per_second": 40,
}


def rendered(shadow: Any = SHADOW, **more: Any) -> dict[tuple[str, str], Object]:
    revisions = {
        "challenger": {"model_image": "base", "arm": "canary"},
        "champion": {"model_image": "employment"},
    }
    rollout = {"from": "champion", "to": "challenger"}
    if shadow:
        rollout |= {"shadow": shadow}
    server = {"routes": ROUTES, "revisions": revisions, "rollout": rollout}
    return named(r.models(models={"employment": server | more}))


def written(found: dict[tuple[str, str], Object], key: str) -> Any:
    return json.loads(found["ConfigMap", "rollout-employment"]["data"][key])


def test_the_controller_and_the_settings_agree() -> None:
    found = rendered()
    settings, places = objects.read_settings(found["ConfigMap", "rollout-employment"])
    assert settings.shadow_percent == 20
    assert rollout_file.SHADOW_HEADER == mirror.SHADOW
    rules = written(found, "rules.json")
    write = WriteRoute("1", settings.weights(0), mirrors={settings.canary: 20})
    route = found["HTTPRoute", "employment-traffic"]
    route["metadata"]["resourceVersion"] = "1"
    made = objects.with_route(route, write, places, rules)
    assert objects.read_route(made, places, rules).mirrors == {"challenger": 20}
    for one in made["spec"]["rules"]:
        kinds = [it["type"] for it in one["filters"]]
        assert len(kinds) == len({*kinds}), "an HTTPRoute has one filter of a kind"


def test_without_it_nothing_changes() -> None:
    assert "shadow_percent" not in written(rendered(None), "settings.json")
    selector = written(rendered(None), "settings.json")["total"]["canary"]
    assert "mirror" not in selector


def test_copies_are_counted_as_the_canarys() -> None:
    total = written(rendered(), "settings.json")["total"]
    route = "httproute/models/employment-traffic/rule/3"
    clusters = [f"{route}/backend/0", f"{route}/backend/1", f"{route}-mirror-2"]
    counted = {}
    for arm, selector in total.items():
        (pattern,) = re.findall(r'envoy_cluster_name=~"([^"]+)"', selector)
        counted[arm] = [it for it in clusters if re.fullmatch(pattern, it)]
    assert counted == {"stable": clusters[:1], "canary": clusters[1:]}


@pytest.mark.parametrize("name", ["employment", "employment-traffic"])
def test_no_callers_header_reaches_a_revision(name: str) -> None:
    """A caller could hide requests from the monitor by it."""
    jwt = {"issuer": "https://issuer.example", "audiences": ["models"]}
    access = {"jwt": jwt | {"jwks_uri": "https://issuer.example/keys"}}
    for more in ({}, {"access": access}):
        for rule in rendered(None, **more)["HTTPRoute", name]["spec"]["rules"]:
            if "backendRefs" in rule:
                (changes,) = (
                    it["requestHeaderModifier"]
                    for it in rule["filters"]
                    if it["type"] == mirror.HEADERS
                )
                assert mirror.SHADOW in changes["remove"]
                assert bool(more) == ("Authorization" in changes["remove"])


def test_a_measured_replica_needs_no_second_figure() -> None:
    short = {it: SHADOW[it] for it in ("percent", "peak_requests_per_second")}
    scaling = {"signal": "inflight", "inflight_per_replica": 4}
    server = {"scaling": scaling | {"rate_per_replica": 10}}
    with pytest.raises(SettingsError) as caught:
        rendered(short, **server)
    assert "keda" in str(caught.value)
    assert "shadow" not in str(caught.value)
