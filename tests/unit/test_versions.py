"""API versions and revisions: what the route says, what each revision is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import yaml

from components.serving import versions
from components.serving.model_server_args import ModelServerArgs
from components.serving.parts import parts
from components.serving.route import route_spec
from components.serving.surroundings import Surroundings
from components.serving.versions import MOST_RULES, Route
from lab import paths
from slipway.render import Rendered
from stacks import config
from tests.support import rendered as r

ROUTES = [
    {
        "prefix": "/employment/v1",
        "deprecated": "2026-12-01",
        "sunset": "2027-06-01",
        "successor": "/employment/v2",
    },
    {"prefix": "/employment/v2"},
]
PATHS = ("/infer", "/v2", "/openapi.json")
"""What our own server has for the public."""
OF_REVISION = ("Deployment", "Service", "PodDisruptionBudget")
SHARED = {
    ("ServiceAccount", "employment"),
    ("NetworkPolicy", "employment"),
    ("HTTPRoute", "employment"),
    ("HTTPRouteFilter", "employment-prefix"),
    ("HTTPRouteFilter", "employment-unknown-path"),
    ("HTTPRouteFilter", "employment-unknown-revision"),
    ("HTTPRouteFilter", "employment-unknown-version"),
    ("ConfigMap", "rules-models-employment"),
}

Object = dict[str, Any]


def revision(weight: int, **more: Any) -> Object:
    return {"model_image": "employment", "weight": weight} | more


def server(champion: int = 90, **more: Any) -> Object:
    revisions = {
        "champion": revision(champion),
        "challenger": revision(
            100 - champion, model_image="base", arm="canary", **more
        ),
    }
    return {"routes": ROUTES, "revisions": revisions}


def render(args: Object | None = None, **config: Any) -> Rendered:
    return r.models(models={"employment": args or server()}, **config)


@pytest.fixture(scope="module")
def two() -> Rendered:
    return render()


def named(rendered: Rendered) -> dict[tuple[str, str], Object]:
    return {(m["kind"], m["metadata"]["name"]): m for m in rendered.manifests}


def rules(rendered: Rendered) -> list[Object]:
    found: list[Object] = r.manifest(rendered, "HTTPRoute")["spec"]["rules"]
    return found


def answers(rendered: Rendered) -> dict[str, Object]:
    """What the gateway answers itself, by the filter's name."""
    return {
        name: m["spec"]["directResponse"]
        for (kind, name), m in named(rendered).items()
        if kind == "HTTPRouteFilter" and "directResponse" in m["spec"]
    }


def chosen(rules: list[Object], path: str, revision: str | None = None) -> Object:
    """The rule that takes a request, by Gateway API's order of precedence."""

    def fits(match: Object) -> bool:
        prefix = match["path"]["value"]
        return (path == prefix or path.startswith(f"{prefix}/")) and all(
            revision is not None
            and (
                header["value"] == revision
                if header["type"] == "Exact"
                else re.fullmatch(header["value"], revision) is not None
            )
            for header in match.get("headers", [])
        )

    found: list[tuple[int, int, int, Object]] = [
        (len(match["path"]["value"]), len(match.get("headers", [])), -number, rule)
        for number, rule in enumerate(rules)
        for match in rule["matches"]
        if fits(match)
    ]
    return max(found, key=lambda item: item[:3])[3] if found else {}


def answer_of(rendered: Rendered, path: str, revision: str | None = None) -> Object:
    """Body of the gateway's own answer to a request."""
    (applied,) = chosen(rules(rendered), path, revision)["filters"]
    told: Object = json.loads(
        answers(rendered)[applied["extensionRef"]["name"]]["body"]["inline"]
    )
    return told


def backends(rendered: Rendered, path: str, revision: str | None = None) -> Object:
    rule = chosen(rules(rendered), path, revision)
    return {b["name"]: b["weight"] for b in rule.get("backendRefs", [])}


def test_each_revision_has_pods_of_its_own_and_the_rest_is_shared(
    two: Rendered,
) -> None:
    kinds = (*OF_REVISION, "HorizontalPodAutoscaler")
    own = {
        (kind, f"employment-{name}")
        for kind in kinds
        for name in ("champion", "challenger")
    }
    assert set(named(two)) == own | SHARED
    assert len(two.manifests) == len(own | SHARED)


def test_a_revisions_objects_choose_its_pods_alone(two: Rendered) -> None:
    objects = named(two)
    for name in ("champion", "challenger"):
        full = f"employment-{name}"
        deployment = objects["Deployment", full]["spec"]
        pods = deployment["template"]["metadata"]["labels"]
        assert pods["slipway.dev/revision"] == name
        wanted = deployment["selector"]["matchLabels"]
        assert wanted["slipway.dev/revision"] == name
        assert wanted.items() <= pods.items()
        assert objects["Service", full]["spec"]["selector"] == wanted
        budget = objects["PodDisruptionBudget", full]["spec"]["selector"]
        assert budget == {"matchLabels": wanted}
        target = objects["HorizontalPodAutoscaler", full]["spec"]["scaleTargetRef"]
        assert target["name"] == full
        # What is shared takes them all.
        policy = objects["NetworkPolicy", "employment"]["spec"]["podSelector"]
        assert policy["matchLabels"].items() <= pods.items()
        pod = deployment["template"]["spec"]
        assert pod["serviceAccountName"] == "employment"
        spread = pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
        assert spread == wanted


def test_a_revision_is_its_image_and_reports_its_name(two: Rendered) -> None:
    found = {}
    for name in ("champion", "challenger"):
        deployment = named(two)["Deployment", f"employment-{name}"]
        pod = deployment["spec"]["template"]["spec"]
        env = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
        volumes = {v["name"]: v for v in pod["volumes"]}
        found[name] = (
            env["MODEL_SERVER_REVISION"],
            env["MODEL_SERVER_MODEL"],
            env["MODEL_SERVER_ARM"],
            volumes["model"]["image"]["reference"],
            deployment["metadata"]["labels"]["app.kubernetes.io/version"],
        )
    old, new = r.IMAGES["employment"], r.IMAGES["base"]
    assert found == {
        "champion": ("champion", "employment", "stable", old, old[-64:][:12]),
        "challenger": ("challenger", "employment", "canary", new, new[-64:][:12]),
    }


def test_what_a_revision_does_not_say_is_the_servers() -> None:
    own = {"min_replicas": 3, "max_replicas": 3}
    args = server(scaling=own, resources={"cpu_limit_millicores": 2000})
    found = named(render({**args, "scaling": {"max_replicas": 9}}))
    replicas = {
        name: found["HorizontalPodAutoscaler", f"employment-{name}"]["spec"]
        for name in ("champion", "challenger")
    }
    assert replicas["champion"]["maxReplicas"] == 9
    assert replicas["challenger"]["minReplicas"] == 3
    assert replicas["challenger"]["maxReplicas"] == 3
    limits = {
        name: found["Deployment", f"employment-{name}"]["spec"]["template"]["spec"][
            "containers"
        ][0]["resources"]["limits"]["cpu"]
        for name in ("champion", "challenger")
    }
    assert limits == {"champion": "1", "challenger": "2"}


def test_other_weights_change_the_route_and_nothing_else(two: Rendered) -> None:
    before, after = named(two), named(render(server(champion=25)))
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {("HTTPRoute", "employment")}
    assert two.outputs == render(server(champion=25)).outputs
    paths = [f"/employment/{v}{path}" for v in ("v1", "v2") for path in PATHS]
    for path in paths:
        assert backends(two, path) == {
            "employment-champion": 90,
            "employment-challenger": 10,
        }


def test_a_revision_that_goes_leaves_the_others_as_they_are(two: Rendered) -> None:
    alone = {"routes": ROUTES, "revisions": {"champion": revision(100)}}
    before, after = named(two), named(render(alone))
    gone = {key for key in before if key not in after}
    assert gone == {
        (kind, "employment-challenger")
        for kind in (*OF_REVISION, "HorizontalPodAutoscaler")
    }
    assert (
        before["Deployment", "employment-champion"]
        == (after["Deployment", "employment-champion"])
    )


def test_the_header_chooses_whatever_the_weights_are() -> None:
    found = render(server(champion=100))
    for path in ("/employment/v1/infer", "/employment/v2/v2/models/employment/infer"):
        for name in ("champion", "challenger"):
            assert backends(found, path, name) == {f"employment-{name}": 1}
        assert backends(found, path) == {
            "employment-champion": 100,
            "employment-challenger": 0,
        }


@pytest.mark.parametrize("name", ["", "chalenger", "CHAMPION", "champion,challenger"])
def test_an_unknown_revision_is_answered_with_the_known_ones(
    two: Rendered, name: str
) -> None:
    for path in ("/employment/v1/infer", "/employment/v2/openapi.json"):
        told = answer_of(two, path, name)
        assert told["code"] == "unknown_revision"
        assert told["known"] == ["challenger", "champion"]


def test_unknown_versions_and_paths_are_answered_with_what_there_is(
    two: Rendered,
) -> None:
    for path in ("/employment", "/employment/v3/infer", "/employment/v10/v2"):
        told = answer_of(two, path)
        assert told["code"] == "unknown_api_version"
        assert told["known"] == ["/employment/v1", "/employment/v2"]
    for path in ("/employment/v1", "/employment/v2/metrics", "/employment/v1/inferno"):
        told = answer_of(two, path, "champion")
        assert told["code"] == "not_found"
        assert "/employment/v1/infer" in told["known"]
    assert chosen(rules(two), "/employments/v1/infer") == {}
    for response in answers(two).values():
        assert response["statusCode"] == 404
        assert response["contentType"] == "application/json"
        # Envoy would take it for a command: https://www.envoyproxy.io access log
        assert "%" not in response["body"]["inline"]


def test_a_model_of_one_revision_has_the_same_answers_by_the_standard_rewrite() -> None:
    one = r.model()
    told = answer_of(one, "/employment/v2/infer")
    assert told["known"] == ["/employment/v1"]
    assert answer_of(one, "/employment/v1/metrics")["code"] == "not_found"
    assert backends(one, "/employment/v1/infer", "any") == {"employment": 1}
    assert len(answers(one)) == 2


def test_a_path_that_is_no_version_claims_nothing_above_it() -> None:
    found = render({"model_image": "employment", "route": {"prefix": "/employment"}})
    assert list(answers(found)) == ["employment-unknown-path"]
    assert chosen(rules(found), "/") == {}
    # "/v1" alone has no parent but the root, which is everybody's.
    root = render({"model_image": "employment", "route": {"prefix": "/v1"}})
    assert list(answers(root)) == ["employment-unknown-path"]


def test_api_versions_of_several_models_below_one_path_are_named_together() -> None:
    both = r.models(
        models={
            "employment": r.EMPLOYMENT,
            "next": {"model_image": "base", "route": {"prefix": "/employment/v2"}},
            "income": {"model_image": "base", "route": {"prefix": "/income/v1"}},
        }
    )
    bodies = {
        name: json.loads(found["body"]["inline"])["known"]
        for name, found in answers(both).items()
        if name.endswith("unknown-version")
    }
    assert bodies == {
        "employment-unknown-version": ["/employment/v1", "/employment/v2"],
        "next-unknown-version": ["/employment/v1", "/employment/v2"],
        "income-unknown-version": ["/income/v1"],
    }


def test_the_prefix_is_taken_off_for_revisions_too(two: Rendered) -> None:
    spec = named(two)["HTTPRouteFilter", "employment-prefix"]["spec"]
    rewrite = spec["urlRewrite"]["path"]["replaceRegexMatch"]
    seen = {
        path: re.sub(rewrite["pattern"], rewrite["substitution"], path)
        for path in ("/employment/v1/infer", "/employment/v2/v2/models/m", "/infer")
    }
    assert list(seen.values()) == ["/infer", "/v2/models/m", "/infer"]
    for rule in rules(two):
        if "backendRefs" in rule:
            names = [f.get("extensionRef", {}).get("name") for f in rule["filters"]]
            assert "employment-prefix" in names


def test_the_gateway_answers_before_the_route_points_there(two: Rendered) -> None:
    route = r.resource(two, "HTTPRoute")
    for found in two.resources:
        if found.type.endswith((":HTTPRouteFilter", ":Service", ":Deployment")):
            assert found.urn in route.depends_on


def told(rendered: Rendered, path: str, revision: str | None = None) -> Object:
    return {
        header["name"]: header["value"]
        for applied in chosen(rules(rendered), path, revision)["filters"]
        if applied["type"] == "ResponseHeaderModifier"
        for header in applied["responseHeaderModifier"]["set"]
    }


def test_the_end_of_an_api_version_is_told(two: Rendered) -> None:
    wanted = {
        "Deprecation": "@1796083200",
        "Sunset": "Tue, 01 Jun 2027 00:00:00 GMT",
        "Link": '</employment/v2>; rel="successor-version"',
    }
    for name in (None, "champion"):
        for path in PATHS:
            assert told(two, f"/employment/v1{path}", name) == wanted
            assert told(two, f"/employment/v2{path}", name) == {}


def test_a_successor_may_be_elsewhere() -> None:
    successor = "https://models.example:8443/employment/v2"
    found = r.model(route={"prefix": "/employment/v1", "successor": successor})
    assert told(found, "/employment/v1/infer") == {
        "Link": f'<{successor}>; rel="successor-version"'
    }


def test_a_sunset_that_is_past_is_a_warning() -> None:
    day = {"prefix": "/employment/v1", "sunset": "2026-11-22"}
    (said,) = r.model(route=day).messages
    assert "employment: callers of /employment/v1 were told" in said
    assert "ends on 2026-11-22" in said
    assert r.model(route={**day, "sunset": "2026-11-23"}).messages == ()


@pytest.mark.parametrize(
    "value",
    ["2026-12-01", date(2026, 12, 1), "2026-12-01T00:00:00Z", '"2026-12-01"', None],
)
def test_a_day_is_one_however_it_is_read(value: Any) -> None:
    """PyYAML makes a date of it; the engine hands over its midnight as text."""
    raw = yaml.safe_load(value) if isinstance(value, str) else value
    text = config.encode({"prefix": "/a/v1", "sunset": raw})
    found = Route.model_validate(config.decode(text))
    assert found.sunset == (None if value is None else date(2026, 12, 1))


def rule_file(rendered: Rendered) -> list[Object]:
    (text,) = r.manifest(rendered, "ConfigMap")["data"].values()
    (group,) = yaml.safe_load(text)["groups"]
    found: list[Object] = group["rules"]
    return found


def test_a_revision_without_replicas_is_told_though_others_are_ready(
    two: Rendered,
) -> None:
    outages = [
        x for x in rule_file(two) if x.get("alert") == "ModelWithoutReadyReplica"
    ]
    about = {x["labels"].get("revision", "all"): x["expr"] for x in outages}
    assert set(about) == {"all", "champion", "challenger"}
    assert 'revision="champion"' in about["champion"]
    assert "revision=" not in about["all"]
    alone = [x for x in rule_file(r.model()) if "alert" in x]
    assert not any("revision" in x["labels"] for x in alone)


def test_each_revision_scales_by_its_own_requests() -> None:
    args = {**server(), "scaling": {"signal": "inflight", "inflight_per_replica": 8}}
    found = render(args, surroundings={"keda": {}})
    for name in ("champion", "challenger"):
        scaled = named(found)["ScaledObject", f"employment-{name}"]["spec"]
        assert scaled["scaleTargetRef"]["name"] == f"employment-{name}"
        (trigger,) = scaled["triggers"]
        assert f'revision="{name}"' in trigger["metadata"]["query"]
    lost = [x for x in rule_file(found) if x.get("alert") == "ModelScalingSignalAbsent"]
    assert {x["labels"]["revision"] for x in lost} == {"champion", "challenger"}
    for alert in lost:
        assert (
            f'scaledObject="employment-{alert["labels"]["revision"]}"'
            in (alert["expr"])
        )


def many() -> Iterator[Any]:
    for count in range(14):
        if most := versions.most_versions(count, len(PATHS)):
            yield pytest.param(count, most, id=f"{count} revisions, {most} versions")


@pytest.mark.parametrize(("count", "most"), list(many()))
def test_as_many_rules_as_a_route_holds_and_no_more(count: int, most: int) -> None:
    image = r.IMAGES["employment"]
    args: Object = {"routes": [{"prefix": f"/m/v{n}"} for n in range(1, most + 1)]}
    args["image"] = image
    if count:
        weights = [100] + [0] * (count - 1)
        args["revisions"] = {
            f"r{n}": revision(w, model_image=image) for n, w in enumerate(weights)
        }
    else:
        args["model_image"] = image
    taken = ModelServerArgs(**args)
    found = route_spec("m", taken, parts("m", taken), Surroundings())["rules"]
    assert len(found) <= MOST_RULES
    more = (count + 1) if count else len(PATHS)
    assert len(found) + more > MOST_RULES
    assert max(len(rule["matches"]) for rule in found) <= 64
    assert sum(len(rule["matches"]) for rule in found) < 128


def test_outputs_name_what_callers_use(two: Rendered) -> None:
    assert two.outputs["paths"] == {"employment": "/employment/v2"}
    champion, challenger = (
        r.IMAGES[name][-64:][:12] for name in ("employment", "base")
    )
    versions = f"challenger {challenger}, champion {champion}"
    assert two.outputs["versions"] == {"employment": versions}


def test_the_answers_on_the_page_are_those_given() -> None:
    page = (paths.ROOT / "docs" / "how-to" / "versions.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown = [yaml.safe_load(block)["slipway:models"] for block in blocks]
    shown[1]["employment"]["revisions"]["2026-11-23"]["model_image"] = "base"
    for models in shown:
        told = answers(r.models(models=models))
        assert told["employment-unknown-version"]["body"]["inline"] in page
    assert told["employment-unknown-revision"]["body"]["inline"] in page
    for name, value in Route(**shown[0]["employment"]["routes"][0]).headers.items():
        assert f"{name.lower()}: {value}" in page
    fits = {count: versions.most_versions(count, len(PATHS)) for count in range(13)}
    said = "16 rules: 4 API versions without revisions; with revisions, 4 API\n"
    assert said in page
    assert (fits[0], fits[2], fits[3], fits[5], fits[12]) == (4, 4, 3, 2, 1)
