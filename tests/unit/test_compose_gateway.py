"""The gateway of a Compose project: the cluster's routes, translated for Envoy."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from slipway.compose import routes, stack
from slipway.compose.objects import Object, Objects
from tests.support import composed
from tests.support import rendered as r
from tests.support import routes as cluster_routes


@pytest.fixture(scope="module")
def models() -> Objects:
    return composed.objects(composed.LAB)


def envoy() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(composed.files()["gateway/envoy.yaml"])
    return found


def public_routes(of: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    (listener,) = [
        one
        for one in (of or envoy())["static_resources"]["listeners"]
        if one["name"] == "http"
    ]
    manager = listener["filter_chains"][0]["filters"][-1]["typed_config"]
    assert manager["preserve_external_request_id"] is True
    found: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"]
    return found


def test_each_public_path_leads_to_its_server_with_the_clusters_time_limit(
    models: Objects,
) -> None:
    by_prefix = {
        one["match"]["path_separated_prefix"]: one["route"]
        for one in public_routes()
        if "route" in one and "headers" not in one["match"]
    }
    assert by_prefix["/employment/v1/infer"]["prefix_rewrite"] == "/infer"
    assert by_prefix["/employment/v1/v2"]["prefix_rewrite"] == "/v2"
    for route in models.kind("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for match in rule["matches"]:
                if rule.get("backendRefs") and match["path"]["type"] == "PathPrefix":
                    assert match["path"]["value"] in by_prefix
    assert {one["timeout"] for one in by_prefix.values()} == {"10s"}


def test_a_cluster_is_its_servers_replicas_held_to_their_readiness() -> None:
    clusters = {c["name"]: c for c in envoy()["static_resources"]["clusters"]}
    found = clusters["service/models/employment/80"]
    (endpoint,) = found["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {
        "address": "employment",
        "port_value": 8080,
    }
    (check,) = found["health_checks"]
    assert check["http_health_check"] == {"host": "employment", "path": "/readyz"}
    # Else a replica that nobody called is asked once a minute.
    assert check["no_traffic_interval"] == "1s"


def route(*rules: dict[str, Any]) -> Object:
    metadata = {"name": "any", "namespace": "models"}
    return {"kind": "HTTPRoute", "metadata": metadata, "spec": {"rules": list(rules)}}


def rule(value: str, kind: str = "PathPrefix", **more: Any) -> dict[str, Any]:
    backend = {"name": "any", "port": 80}
    match = {"path": {"type": kind, "value": value}, **more.pop("match", {})}
    return {"matches": [match], "backendRefs": [backend], **more}


def translated(*rules: dict[str, Any]) -> list[dict[str, Any]]:
    return routes.routes(Objects((route(*rules),)), lambda _, b: f"to {b['name']}")


def test_the_most_specific_route_comes_first() -> None:
    header = {"headers": [{"name": "x-model-revision", "value": "b"}]}
    found = translated(
        rule("/a"),
        rule("/a/b"),
        rule("/a/b", match=header),
        rule("/a", "Exact"),
    )
    assert [one["match"] for one in found] == [
        {"path": "/a"},
        {
            "path_separated_prefix": "/a/b",
            "headers": [{"name": "x-model-revision", "string_match": {"exact": "b"}}],
        },
        {"path_separated_prefix": "/a/b"},
        {"path_separated_prefix": "/a"},
    ]


def test_weights_and_mirrors_are_kept() -> None:
    split = rule("/a")
    split["backendRefs"] = [
        {"name": "old", "port": 80, "weight": 9},
        {"name": "new", "port": 80, "weight": 1},
    ]
    mirror = {"backendRef": {"name": "shadow", "port": 80}, "percent": 5}
    split["filters"] = [{"type": "RequestMirror", "requestMirror": mirror}]
    (found,) = translated(split)
    clusters = found["route"]["weighted_clusters"]["clusters"]
    weights = [(one["name"], one["weight"]) for one in clusters]
    assert weights == [("to old", 9), ("to new", 1)]
    (policy,) = found["route"]["request_mirror_policies"]
    share = policy["runtime_fraction"]["default_value"]
    assert share == {"numerator": 50_000, "denominator": "MILLION"}


def test_a_prefix_replaced_by_the_root_leaves_no_double_slash() -> None:
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    filters = [{"type": "URLRewrite", "urlRewrite": rewrite}]
    (found,) = translated(rule("/a.b", filters=filters))
    assert found["route"]["regex_rewrite"] == {
        "pattern": {"regex": r"^/a\.b/*"},
        "substitution": "/",
    }


def test_an_answer_of_the_gateways_own_is_kept_word_by_word() -> None:
    answer = {
        "contentType": "application/json",
        "statusCode": 404,
        "body": {"type": "Inline", "inline": '{"known": ["v1"], "share": "5%"}'},
    }
    extra = {
        "kind": "HTTPRouteFilter",
        "metadata": {"name": "unknown", "namespace": "models"},
        "spec": {"directResponse": answer},
    }
    reference = {"kind": "HTTPRouteFilter", "name": "unknown"}
    only = rule("/a", filters=[{"type": "ExtensionRef", "extensionRef": reference}])
    del only["backendRefs"]
    objects = Objects((route(only), extra))
    (found,) = routes.routes(objects, lambda *_: "")
    assert found["direct_response"] == {
        "status": 404,
        "body": {"inline_string": '{"known": ["v1"], "share": "5%"}'},
    }


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("10s", "10s"), ("1m30s", "90s"), ("500ms", "0.5s"), ("1h", "3600s")],
)
def test_durations(duration: str, seconds: str) -> None:
    (found,) = translated(rule("/a", timeouts={"request": duration}))
    assert found["route"]["timeout"] == seconds


def policy(name: str, **http: str) -> Object:
    targets = [{"kind": "HTTPRoute", "name": name}]
    return {
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": name, "namespace": "models"},
        "spec": {"targetRefs": targets, "timeout": {"http": http}},
    }


@pytest.mark.parametrize(
    ("request_limit", "silence", "wanted"),
    [
        # As Envoy Gateway: an hour, or the whole limit where that is longer.
        ("10s", None, {"timeout": "10s", "idle_timeout": "3600s"}),
        ("2h", None, {"timeout": "7200s", "idle_timeout": "7200s"}),
        ("0s", None, {"timeout": "0s", "idle_timeout": "0s"}),
        ("15m", "30s", {"timeout": "900s", "idle_timeout": "30s"}),
        (None, "30s", {"idle_timeout": "30s"}),
        (None, None, {}),
    ],
)
def test_limits_of_whole_answers_and_of_their_silence(
    request_limit: str | None, silence: str | None, wanted: dict[str, str]
) -> None:
    timeouts = {"timeouts": {"request": request_limit}} if request_limit else {}
    objects: list[Object] = [route(rule("/a", **timeouts)), policy("another")]
    if silence:
        objects.append(policy("any", streamIdleTimeout=silence))
    other = policy("another", streamIdleTimeout="1s")
    (found,) = routes.routes(Objects((*objects, other)), lambda *_: "")
    of = found["route"]
    assert {k: v for k, v in of.items() if "timeout" in k} == wanted


@pytest.fixture(scope="module")
def revised() -> dict[str, Any]:
    """A project of a model with the revisions champion and challenger, as files."""
    with composed.locked(r.IMAGES):
        found = stack.translated(
            composed.LAB,
            Objects.of(cluster_routes.render().manifests),
            composed.objects("platform.lab"),
        )
        return {name: yaml.safe_load(text) for name, text in found.all_files().items()}


def test_revisions_are_services_that_a_header_or_the_weights_choose(
    revised: dict[str, Any],
) -> None:
    names = ("champion", "challenger")
    servers = {f"employment-{name}" for name in names}
    assert servers <= set(revised["compose.yaml"]["services"])
    routes_of = {
        one["match"]["headers"][0]["string_match"].get("exact"): one["route"]
        for one in public_routes(revised["gateway/envoy.yaml"])
        if "headers" in one["match"] and "route" in one
    }
    for name in names:
        assert routes_of[name]["cluster"] == f"service/models/employment-{name}/80"
    shared = [
        one["route"]
        for one in public_routes(revised["gateway/envoy.yaml"])
        if "weighted_clusters" in one.get("route", {})
    ]
    weights = {
        of["name"]: of["weight"]
        for one in shared
        for of in one["weighted_clusters"]["clusters"]
    }
    assert weights == {
        "service/models/employment-champion/80": 90,
        "service/models/employment-challenger/80": 10,
    }


def test_a_revisions_server_sees_the_path_behind_the_api_version(
    revised: dict[str, Any],
) -> None:
    rewrites = {
        (found["pattern"]["regex"], found["substitution"])
        for one in public_routes(revised["gateway/envoy.yaml"])
        if (found := one.get("route", {}).get("regex_rewrite"))
    }
    ((pattern, to),) = rewrites
    for prefix in cluster_routes.ROUTES:
        assert re.sub(pattern, to, f"{prefix['prefix']}/v2/models") == "/v2/models"
