"""API versions: what the route says of them, and what it says of unknown ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import yaml

from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import parts
from components.serving.routes.route import route_spec
from components.serving.settings import versions
from components.serving.settings.serving_platform import ServingPlatform
from components.serving.settings.versions import MOST_RULES, Route
from slipway.rendering.render import Rendered
from stacks import values
from tests.support import rendered as r
from tests.support.routes import (
    PATHS,
    Object,
    answer_of,
    answers,
    backends,
    chosen,
    named,
    render,
    revision,
    rules,
)
from toolchain import paths


@pytest.fixture(scope="module")
def two() -> Rendered:
    return render()


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


def test_the_end_of_an_api_version_is_reported(two: Rendered) -> None:
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
    assert "employment: /employment/v1 was announced" in said
    assert "to end on 2026-11-22" in said
    assert r.model(route={**day, "sunset": "2026-11-23"}).messages == ()


@pytest.mark.parametrize(
    "value",
    ["2026-12-01", date(2026, 12, 1), "2026-12-01T00:00:00Z", '"2026-12-01"', None],
)
def test_a_day_is_one_however_it_is_read(value: Any) -> None:
    """PyYAML makes a date of it; the engine hands over its midnight as text."""
    raw = yaml.safe_load(value) if isinstance(value, str) else value
    text = values.encode({"prefix": "/a/v1", "sunset": raw})
    found = Route.model_validate(values.decode(text))
    assert found.sunset == (None if value is None else date(2026, 12, 1))


def many() -> Iterator[Any]:
    for count in range(14):
        if most := versions.most_versions(count, len(PATHS)):
            yield pytest.param(count, most, id=f"{count} revisions, {most} versions")


@pytest.mark.parametrize(("count", "most"), list(many()))
def test_as_many_rules_as_a_route_holds_and_no_more(count: int, most: int) -> None:
    image = r.IMAGES["employment"]
    end = {"deprecated": "2026-01-01"}  # makes rules of its own of a version
    routes = [{"prefix": f"/m/v{n}", **end} for n in range(1, most + 1)]
    args: Object = {"routes": routes}
    args["image"] = image
    if count:
        weights = [100] + [0] * (count - 1)
        args["revisions"] = {
            f"r{n}": revision(w, model_image=image) for n, w in enumerate(weights)
        }
    else:
        args["model_image"] = image
    taken = ModelServerArgs(**args)
    found = route_spec("m", taken, parts("m", taken), ServingPlatform())["rules"]
    assert len(found) <= MOST_RULES
    more = (count + 1) if count else len(PATHS)
    assert len(found) + more > MOST_RULES
    assert max(len(rule["matches"]) for rule in found) <= 64
    assert sum(len(rule["matches"]) for rule in found) < 128


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


ENDS = {"deprecated": "2026-01-01", "sunset": "2099-12-31"}
V1, V2, V3 = ({"prefix": f"/m/v{n}"} for n in (1, 2, 3))
CHANGES: dict[str, tuple[list[Object], list[str]]] = {
    "one version": ([V2], ["a", "b"]),
    "a revision more": ([V2], ["a", "b", "c"]),
    "a revision less": ([V2], ["b"]),
    "a version more": ([V2, V3], ["a", "b"]),
    "an older version": ([V1, V2], ["a", "b"]),
    "an older version that ends": ([V1 | ENDS, V2], ["a", "b"]),
    "two that end": ([V1 | ENDS, V3 | ENDS, V2], ["a", "b", "c"]),
}


def clusters(routes: list[Object], names: list[str], prefix: str) -> list[int]:
    """Indices of the rules that share requests to an API version out, by path."""
    args: Object = {"routes": routes, "image": r.IMAGES["employment"]}
    if names:
        shares = [100, *[0] * (len(names) - 1)]
        args["revisions"] = {
            name: revision(weight, model_image=args["image"])
            for name, weight in zip(names, shares, strict=True)
        }
    else:
        args["model_image"] = args["image"]
    taken = ModelServerArgs(**args)
    rules = route_spec("m", taken, parts("m", taken), ServingPlatform())["rules"]
    return [
        index
        for index, rule in enumerate(rules)
        if "backendRefs" in rule
        for match in rule["matches"]
        if match["path"]["value"].startswith(f"{prefix}/") and "headers" not in match
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_what_stays_keeps_its_cluster(change: str) -> None:
    """A cluster is named by its rule's index: one that moves fails requests."""
    routes, names = CHANGES[change]
    at_first = [0] * len(PATHS)
    assert clusters(routes, names, V2["prefix"]) == at_first
    one_each = list(range(len(PATHS)))
    assert clusters(routes, [], V2["prefix"]) == one_each
    if V1 | ENDS in routes:
        # Its requests are shared out before any revision is chosen by name.
        assert max(clusters(routes, names, V1["prefix"])) < len(routes)


def test_overlaps_are_found_by_the_earlier_and_then_the_later_claim() -> None:
    """The order in which all pairs would be looked at, without looking at all."""
    paths = ["/a/b", "/c", "/a", "/a/b/c", "/c", "/ab", "/a/b"]
    claims = [
        versions.Claim(str(i), str(i), Route(prefix=p)) for i, p in enumerate(paths)
    ]
    found = [(one.path, one.reason) for one in versions.overlaps(claims)]
    assert found == [
        ("2.prefix", "/a/b of the model 0 is below it"),
        ("3.prefix", "it is below /a/b of the model 0"),
        ("6.prefix", "the model 0 already has it"),
        ("4.prefix", "the model 1 already has it"),
        ("3.prefix", "it is below /a of the model 2"),
        ("6.prefix", "it is below /a of the model 2"),
        ("6.prefix", "/a/b/c of the model 3 is below it"),
    ]


def test_siblings_are_versions_below_the_same_path() -> None:
    known = ["/a/v2", "/a/v1", "/a/v1x/y", "/ab/v1", "/a/other", "/b/v1", "/c"]
    assert versions.siblings([Route(prefix="/a/v1")], known) == ["/a/v1", "/a/v2"]
    assert versions.siblings([Route(prefix="/c")], known) == ["/c"]
