"""The public way of gRPC as plain data: who takes a call, and what guards it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from components.platform import chart
from components.serving.args.grpc_settings import MOST_REVISIONS
from components.serving.runtimes.facts import OPEN_INFERENCE
from slipway.rendering.render import Rendered
from tests.support import rendered as r
from tests.support import schemas
from tests.support.routes import Object, named, revision, server
from toolchain import paths

GRPC: Object = {"runtime": {"kind": "onnx", "grpc": True}, "grpc_route": True}
TENSORFLOW = "tensorflow.serving.PredictionService"
KEYS = {"api_keys": {"secret": "employment-keys"}}
TARGETS = [("HTTPRoute", "employment"), ("GRPCRoute", "employment")]


def model(**args: Any) -> Rendered:
    return r.model(**GRPC, **args)


def spec(found: Rendered, kind: str) -> Object:
    content: Object = r.manifest(found, kind)["spec"]
    return content


def takers(found: Rendered, **headers: str) -> list[tuple[str, int]]:
    """Services and weights of the rule that a call of ModelInfer comes to."""
    found_by: list[tuple[int, Object]] = []
    for rule in spec(found, "GRPCRoute")["rules"]:
        for match in rule["matches"]:
            exact = [one for one in match["headers"] if one["type"] == "Exact"]
            wanted = {one["name"]: one["value"] for one in exact}
            asked = match["method"]["method"] == "ModelInfer"
            if asked and "backendRefs" in rule and wanted.items() <= headers.items():
                found_by.append((len(wanted), rule))
    if not found_by:
        return []
    _, taker = max(found_by, key=lambda pair: pair[0])
    return [(one["name"], one["weight"]) for one in taker["backendRefs"]]


def targets(policy: Object) -> list[tuple[str, str]]:
    return [(one["kind"], one["name"]) for one in policy["targetRefs"]]


def test_there_is_a_way_only_if_it_is_asked_for() -> None:
    opened = r.model(runtime=GRPC["runtime"])
    assert "GRPCRoute" not in {m["kind"] for m in opened.manifests}
    assert (
        spec(model(), "GRPCRoute")["parentRefs"]
        == (spec(opened, "HTTPRoute")["parentRefs"])
    )


def test_the_header_names_the_server() -> None:
    found = model(model="other")
    assert takers(found, **{"x-model": "employment"}) == [("employment", 1)]
    assert takers(found, **{"x-model": "other"}) == []
    assert takers(found) == []
    (rule,) = spec(found, "GRPCRoute")["rules"]
    (backend,) = rule["backendRefs"]
    ports = {p["name"]: p["port"] for p in spec(found, "Service")["ports"]}
    assert backend["port"] == ports["grpc"]


def test_a_second_header_names_the_revision() -> None:
    found = r.models(models={"employment": server(champion=90) | GRPC})
    wanted = {"x-model": "employment"}
    assert takers(found, **wanted) == [
        ("employment-challenger", 10),
        ("employment-champion", 90),
    ]
    chosen = wanted | {"x-model-revision": "challenger"}
    assert takers(found, **chosen) == [("employment-challenger", 1)]


def test_an_unknown_revision_is_given_the_known_ones() -> None:
    args = server() | GRPC
    for given in (args, {k: v for k, v in args.items() if k != "routes"}):
        found = r.models(models={"employment": given})
        shared, *_, rule = spec(found, "GRPCRoute")["rules"]
        assert "filters" not in shared
        assert "backendRefs" not in rule
        ((_, header),) = {tuple(map(str, m["headers"])) for m in rule["matches"]}
        assert "RegularExpression" in header
        name = rule["filters"][0]["extensionRef"]["name"]
        answer = named(found)["HTTPRouteFilter", name]["spec"]["directResponse"]
        assert "there is challenger, champion" in answer["body"]["inline"]


@pytest.mark.parametrize(
    ("runtime", "service", "closed"),
    [
        ({"kind": "onnx"}, OPEN_INFERENCE, "Repository"),
        (
            {"kind": "triton", "backend": "onnxruntime"},
            OPEN_INFERENCE,
            "Repository",
        ),
        (
            {"kind": "tensorflow_serving"},
            "tensorflow.serving.PredictionService",
            "Reload",
        ),
    ],
)
def test_only_methods_that_change_nothing_are_public(
    runtime: Object, service: str, closed: str
) -> None:
    found = r.model(
        image="tritonserver", runtime={**runtime, "grpc": True}, grpc_route=True
    )
    (rule,) = spec(found, "GRPCRoute")["rules"]
    methods = [match["method"] for match in rule["matches"]]
    assert {(m["type"], m["service"]) for m in methods} == {("Exact", service)}
    assert methods
    assert not [m for m in methods if closed in m["method"]]


def test_our_servers_methods_are_the_public_ones() -> None:
    """Those that the server has, so that none of them is forgotten."""
    file = paths.ROOT / "images/model_server/model_server/grpc_server.py"
    answered = set(re.findall(r"{INFERENCE_SERVICE}/(\w+)", file.read_text()))
    (rule,) = spec(model(), "GRPCRoute")["rules"]
    assert {match["method"]["method"] for match in rule["matches"]} == answered


@pytest.mark.parametrize("kind", ["SecurityPolicy", "BackendTrafficPolicy"])
def test_one_policy_covers_both_routes_and_precedes_them(kind: str) -> None:
    found = model(access=KEYS)
    policy = r.resource(found, kind)
    assert targets(policy.inputs["spec"]) == TARGETS
    for route in ("HTTPRoute", "GRPCRoute"):
        assert policy.urn in r.resource(found, route).depends_on


def test_calls_end_when_requests_do() -> None:
    found = model(lifecycle={"longest_request_seconds": 12})
    assert "SecurityPolicy" not in {m["kind"] for m in found.manifests}
    policy = spec(found, "BackendTrafficPolicy")
    assert policy["timeout"]["http"] == {"requestTimeout": "12s"}
    assert policy["timeout"]["tcp"] == {"connectTimeout": "1s"}
    rules = spec(found, "HTTPRoute")["rules"]
    assert {x["timeouts"]["request"] for x in rules if "timeouts" in x} == {"12s"}


def test_a_server_may_be_public_by_grpc_alone() -> None:
    args = {"model_image": "employment", "access": KEYS, **GRPC}
    found = r.models(models={"employment": args})
    assert "HTTPRoute" not in {m["kind"] for m in found.manifests}
    for kind in ("SecurityPolicy", "BackendTrafficPolicy"):
        assert targets(spec(found, kind)) == TARGETS[1:]


def crd(kind: str) -> Object:
    return next(
        c for c in chart.envoy_gateway_crds() if c["spec"]["names"]["kind"] == kind
    )


@pytest.mark.parametrize("access", [None, {**KEYS, "rate_per_client": {"requests": 5}}])
def test_the_publishers_schemas_take_it(access: Object | None) -> None:
    weights = {str(n): revision(100 if n == 0 else 0) for n in range(MOST_REVISIONS)}
    args = GRPC | {"revisions": weights, **({"access": access} if access else {})}
    found = r.models(models={"employment": args})
    kinds = ["GRPCRoute", "BackendTrafficPolicy"]
    for kind in [*kinds, "SecurityPolicy"] if access else kinds:
        manifest = r.manifest(found, kind)
        assert schemas.crd_problems(manifest, crd(kind)) == []
    rules = spec(found, "GRPCRoute")["rules"]
    # By a rule of the schema that only the API server can run.
    assert sum(len(rule["matches"]) for rule in rules) < 128


def test_the_schema_would_refuse_what_it_does_not_know() -> None:
    route = r.manifest(model(), "GRPCRoute")
    route["spec"]["rules"][0]["timeouts"] = {"request": "30s"}
    assert schemas.crd_problems(route, crd("GRPCRoute"))
