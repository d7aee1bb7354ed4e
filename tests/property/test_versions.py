"""Any revisions and API versions that are accepted share requests out rightly."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import pod_security, schemas
from tests.support.rendered import manifest, models, reference

Draw = Any
Config = dict[str, Any]
FEW = settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,11}[a-z0-9])?", fullmatch=True)
RULES, MATCHES = 16, 128
PATHS = 3
DAY = "2026-01-01"


@st.composite
def server(draw: Draw) -> Config:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    cuts = sorted(
        draw(
            st.lists(
                st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1
            )
        )
    )
    weights = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    most = 13 // (len(names) + 1)
    versions = draw(
        st.lists(st.integers(1, 99), min_size=1, max_size=most, unique=True)
    )
    ending = draw(st.sets(st.sampled_from(versions)))
    return {
        "routes": [
            {"prefix": f"/model/v{n}"} | ({"deprecated": DAY} if n in ending else {})
            for n in versions
        ],
        "revisions": {
            name: {"model_image": reference(name), "weight": weight}
            for name, weight in zip(names, weights, strict=True)
        },
    }


@FEW
@given(server())
def test_every_request_has_one_place_to_go(args: Config) -> None:
    rendered = models(models={"model": args})
    weights = {f"model-{n}": x["weight"] for n, x in args["revisions"].items()}
    rules = manifest(rendered, "HTTPRoute")["spec"]["rules"]
    assert len(rules) <= RULES
    assert sum(len(rule["matches"]) for rule in rules) < MATCHES
    shared = [
        rule
        for rule in rules
        if "backendRefs" in rule and "headers" not in rule["matches"][0]
    ]
    told = [route for route in args["routes"] if "deprecated" in route]
    plain = len(told) < len(args["routes"])
    assert len(shared) == len(told) + plain, "those with the same headers are one"
    by_prefix = Counter(
        re.sub(r"/(infer|v2|openapi.json)$", "", match["path"]["value"])
        for rule in shared
        for match in rule["matches"]
    )
    assert by_prefix == {route["prefix"]: PATHS for route in args["routes"]}
    for rule in shared:
        found = {b["name"]: b["weight"] for b in rule["backendRefs"]}
        assert found == (weights if len(weights) > 1 else dict.fromkeys(weights, 1))
        assert not any("headers" in match for match in rule["matches"])
    seen = [str(match) for rule in rules for match in rule["matches"]]
    assert len(set(seen)) == len(seen)


@FEW
@given(server())
def test_no_selector_takes_a_pod_of_another_revision(args: Config) -> None:
    rendered = models(models={"model": args})
    of = {
        kind: {
            m["metadata"]["name"]: m["spec"]
            for m in rendered.manifests
            if m["kind"] == kind
        }
        for kind in ("Deployment", "Service")
    }
    assert set(of["Deployment"]) == {f"model-{name}" for name in args["revisions"]}
    for m in rendered.manifests:
        if m["kind"] not in schemas.CUSTOM:
            assert schemas.problems(m) == []
    for name, deployment in of["Deployment"].items():
        pods = deployment["template"]["metadata"]["labels"]
        taken = [
            other
            for other, service in of["Service"].items()
            if service["selector"].items() <= pods.items()
        ]
        assert taken == [name]
        assert pod_security.violations(deployment["template"]["spec"]) == []
