"""A model with a rollout in a stack: who owns which route, and what is around it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from rollout import objects

from components import naming
from components.observability.prometheus import Prometheus
from components.observability.settings import PrometheusSettings
from components.settings import SettingsError
from slipway.cli import cli
from slipway.cluster.kube_api import KubeApi
from slipway.compose.objects import Objects
from slipway.compose.stack import translated
from slipway.engine import live_weights
from slipway.engine.results import EngineError
from slipway.rendering import render as rendering
from slipway.rendering.render import Rendered
from tests.support import rendered as r
from tests.support.live_weights import live_route, refused
from tests.support.routes import ROUTES, Object, chosen, named, server

ROLLOUT = {"from": "champion", "to": "challenger"}
PATH = "/employment/v2/infer"


def with_rollout(**more: Any) -> Object:
    revisions = {
        "challenger": {"model_image": "base", "arm": "canary"},
        "champion": {"model_image": "employment"},
    }
    found = {"routes": ROUTES, "revisions": revisions, "rollout": ROLLOUT}
    return found | more


def render(**more: Any) -> Rendered:
    return r.models(models={"employment": with_rollout(**more)})


@pytest.fixture(scope="module")
def one() -> Rendered:
    return render()


def route_rules(rendered: Rendered, name: str) -> list[Object]:
    found: list[Object] = named(rendered)["HTTPRoute", name]["spec"]["rules"]
    return found


def test_the_weights_are_in_a_route_of_their_own(one: Rendered) -> None:
    traffic = route_rules(one, "employment-traffic")
    own = route_rules(one, "employment")
    for path in (PATH, "/employment/v1/v2/models/employment"):
        backends = chosen(traffic, path)["backendRefs"]
        assert [(it["name"], it["weight"]) for it in backends] == [
            ("employment-champion", 100),
            ("employment-challenger", 0),
        ]
        # Without a header the server's own route has a refusal alone.
        assert "backendRefs" not in chosen(own, path)
        (backend,) = chosen(own, path, "challenger")["backendRefs"]
        assert (backend["name"], backend["weight"]) == ("employment-challenger", 1)
    assert all(len(rule["backendRefs"]) == 2 for rule in traffic)
    # While the weighted rules go, theirs may be answered by the first one.
    assert own[0]["backendRefs"][0]["name"] == "employment-champion"


def test_each_backend_has_a_filter_and_so_a_cluster_of_its_own(one: Rendered) -> None:
    for rule in route_rules(one, "employment-traffic"):
        told = [
            it["filters"][0]["requestHeaderModifier"]["set"][0]["value"]
            for it in rule["backendRefs"]
        ]
        assert told == ["champion", "challenger"]


def test_the_engine_leaves_the_rules_to_the_controller(one: Rendered) -> None:
    routes = {x.name: x for x in one.resources if x.type.endswith(":HTTPRoute")}
    assert routes["employment-traffic"].ignore_changes == ("spec.rules",)
    assert routes["employment"].ignore_changes == ()
    # It is there before the other one loses its rules.
    assert routes["employment-traffic"].urn in routes["employment"].depends_on
    for kind in ("employment-champion", "employment-challenger"):
        (service,) = [
            x.urn
            for x in one.resources
            if x.type.endswith(":Service") and x.name == kind
        ]
        assert service in routes["employment-traffic"].depends_on


POLICIES = ("SecurityPolicy", "BackendTrafficPolicy")


def test_both_routes_have_the_same_policies() -> None:
    jwks = {"keys": [{"kty": "RSA", "kid": "1", "n": "AQAB", "e": "AQAB"}]}
    jwt = {"issuer": "https://issuer", "audiences": ["a"], "jwks": jwks}
    for asked in ({"api_keys": {"secret": "callers"}}, {"jwt": jwt}):
        found = named(render(access=asked))
        for kind in POLICIES:
            specs = [
                dict(found[kind, name]["spec"])
                for name in ("employment", "employment-traffic")
            ]
            targets = [[it["name"] for it in one.pop("targetRefs")] for one in specs]
            assert targets == [["employment"], ["employment-traffic"]]
            assert specs[0] == specs[1]


@pytest.mark.parametrize(
    "after",
    [
        server(),
        {"model_image": "employment", "route": {"prefix": "/employment/v1"}},
        None,
    ],
    ids=["weights again", "no revisions", "no such server"],
)
def test_the_policies_stay_as_long_as_the_traffic_route(after: Object | None) -> None:
    """Deletions come last, and each before what it depends on."""
    keys = {"access": {"api_keys": {"secret": "callers"}}}
    one = render(**keys)
    guards = {
        it.urn
        for it in one.resources
        if it.name in {f"employment-traffic-{kind.lower()}" for kind in POLICIES}
    }
    (traffic,) = [
        it
        for it in one.resources
        if it.type.endswith(":HTTPRoute") and it.name == "employment-traffic"
    ]
    assert len(guards) == len(POLICIES)
    assert guards <= set(traffic.depends_on)
    # Nothing that stays is changed about the traffic route before it is deleted.
    other = {"income": {"model_image": "employment", "route": {"prefix": "/income/v1"}}}
    models = {"employment": after | keys} if after else other
    then = r.models(models=models)
    kept = {it.urn for it in then.resources}
    assert not kept & {traffic.urn, *guards}
    targets = [
        target["name"]
        for found in then.manifests
        if found["kind"] in POLICIES
        for target in found["spec"]["targetRefs"]
    ]
    assert "employment-traffic" not in targets


def test_without_a_rollout_nothing_is_left_of_it() -> None:
    found = named(r.models(models={"employment": server()}))
    assert ("HTTPRoute", "employment-traffic") not in found
    assert not [name for _, name in found if "rollout" in name]


def test_the_controller_is_given_the_routes_rules(one: Rendered) -> None:
    told = named(one)["ConfigMap", "rollout-employment"]
    settings, places = objects.read_settings(told)
    assert (settings.stable, settings.canary) == ("champion", "challenger")
    assert {it.service for it in places.values()} == {
        "employment-champion",
        "employment-challenger",
    }
    assert objects.read_rules(told) == route_rules(one, "employment-traffic")
    route = named(one)["HTTPRoute", "employment-traffic"]
    route["metadata"]["resourceVersion"] = "1"
    seen = objects.read_route(route, places, objects.read_rules(told))
    assert seen.weights == {"champion": 100, "challenger": 0}
    pod = named(one)["Deployment", naming.ROLLOUT_CONTROLLER]["spec"]["template"]
    variables = {it["name"]: it["value"] for it in pod["spec"]["containers"][0]["env"]}
    assert variables["ROLLOUT_SERVERS"] == "employment"
    # The gates ask for the counters of this route's clusters.
    assert "httproute/models/employment-traffic/rule" in settings.total.canary


def test_prometheus_and_the_controller_may_reach_each_other(one: Rendered) -> None:
    def program() -> None:
        Prometheus("prometheus", PrometheusSettings(), alertmanager=None)

    platform = rendering.render(
        "platform.test", config={}, images=r.IMAGES, program=program
    )
    (rule,) = r.manifest(platform, "NetworkPolicy")["spec"]["ingress"]
    pods = [it.get("podSelector", {}).get("matchLabels") for it in rule["from"]]
    deployment = named(one)["Deployment", naming.ROLLOUT_CONTROLLER]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert any(chosen.items() <= labels.items() for chosen in pods if chosen)
    policy = named(one)["NetworkPolicy", naming.ROLLOUT_CONTROLLER]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    to = [rule["to"] for rule in policy["egress"] if "to" in rule]
    assert "slipway-monitoring" in json.dumps(to)


def test_a_rendering_says_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, one: Rendered
) -> None:
    monkeypatch.setattr(rendering, "render", lambda *_, **__: one)
    done = CliRunner().invoke(cli, ["render", "models.test"])
    assert done.exit_code == 0
    assert "employment-traffic" in done.stderr
    assert "have your tool ignore spec.rules" in done.stderr.replace("\n", " ")


def test_compose_refuses_it(one: Rendered) -> None:
    with pytest.raises(SettingsError) as caught:
        translated("models.test", Objects.of(one.manifests), Objects(()))
    (problem,) = caught.value.problems
    assert problem.path == "models.employment.rollout"
    assert problem.fix.startswith("remove rollout and")


def paths_of(rendered: Rendered, *routes: Object, verb: str = "up") -> list[str]:
    return [one.path for one in refused(rendered, *routes, verb=verb)]


def test_a_revision_with_weight_is_not_removed(one: Rendered) -> None:
    running = live_route({"champion": 75, "challenger": 25})
    assert paths_of(one, running) == []
    alone = {"champion": {"model_image": "employment", "weight": 100}}
    without = r.models(models={"employment": {"routes": ROUTES, "revisions": alone}})
    wanted = ["models.employment.revisions.challenger"]
    assert paths_of(without, running) == wanted
    assert paths_of(without, running, verb="preview") == wanted
    assert paths_of(without, live_route({"champion": 100, "challenger": 0})) == []
    assert paths_of(without, live_route({"champion": 0, "challenger": 100})) == wanted


def test_a_revision_that_the_route_names_goes_after_the_route_has_let_go_of_it(
    one: Rendered,
) -> None:
    """A gateway may refuse rules that name a Service which is not there."""
    done = live_route({"first": 0, "champion": 100})
    assert paths_of(one, done) == ["models.employment.revisions.first"]
    # The controller has taken the new pair; or the route goes, before the Service.
    assert paths_of(one, live_route({"champion": 100, "challenger": 0})) == []
    plain = r.models(models={"employment": server()})
    assert paths_of(plain, done) == []


def test_a_pair_begins_once_no_third_revision_has_requests(one: Rendered) -> None:
    """The controller would stop: it cannot divide what is not the pair's."""
    three = {"champion": {}, "challenger": {}, "first": {}}
    three = {name: {"model_image": "employment"} for name in three}
    next_pair = r.models(models={"employment": with_rollout(revisions=three)})
    wanted = ["models.employment.rollout"]
    assert paths_of(next_pair, live_route({"first": 40, "champion": 60})) == wanted
    assert paths_of(next_pair, live_route({"first": 0, "champion": 100})) == []
    by_name = live_route({"first": 0, "champion": 100})
    by_name["spec"]["rules"].append({"backendRefs": [{"name": "employment-first"}]})
    assert paths_of(next_pair, by_name) == []


def test_a_server_that_goes_as_a_whole_is_not_asked_about(one: Rendered) -> None:
    other = r.models(models={"income": with_rollout(routes=[{"prefix": "/income/v1"}])})
    assert paths_of(other, live_route({"champion": 75, "challenger": 25})) == []


def test_weights_that_cannot_be_read_stop_up_and_not_a_preview(one: Rendered) -> None:
    def reach() -> KubeApi:
        def refuse(_: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("gone")

        transport = httpx.MockTransport(refuse)
        return KubeApi(httpx.Client(base_url="https://api", transport=transport))

    said: list[str] = []
    with pytest.raises(EngineError, match="weights of running rollouts"):
        live_weights.before("up", one, reach, said.append)
    live_weights.before("preview", one, reach, said.append)
    assert "could not be read" in said[0]
    # A stack without revisions is not asked about at all.
    live_weights.before("up", r.models(), reach, said.append)
