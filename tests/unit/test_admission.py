"""The rules as admission policies; tests/cluster shows them to an API server."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional

from components.security import admission, rules
from slipway.rendering.render import render
from tests.support import schemas
from tests.support.rendered import IMAGES

OFF = {"enabled": False}
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
DAY = date(2026, 11, 29)
LISTED = rules.load()

Object = dict[str, Any]


def made(*, production: bool = True, **settings: Any) -> list[Object]:
    """What the component makes in a platform without other parts."""
    rendered = render(
        "platform.lab",
        config={
            "production": production,
            "cluster": {"kubeconfig": "lab"},
            "namespaces": {"models": ["models", "more"]},
            "admission": {"enabled": True, **settings},
            **dict.fromkeys(("metrics_server", "envoy_gateway", "gateway"), OFF),
            "gateway_api": OFF,
            "monitoring": dict.fromkeys(
                ("prometheus", "alertmanager", "alert_recorder"), OFF
            ),
        },
        images=IMAGES,
    )
    return [
        m for m in rendered.manifests if m["metadata"]["name"].startswith("slipway-")
    ]


def of(found: list[Object], kind: str) -> dict[str, Object]:
    return {
        m["metadata"]["name"].removeprefix("slipway-"): m
        for m in found
        if m["kind"] == kind
    }


@pytest.fixture(scope="module")
def strict() -> list[Object]:
    return made()


def actions(found: list[Object]) -> dict[str, list[str]]:
    return {
        name: m["spec"]["validationActions"] for name, m in of(found, BINDING).items()
    }


def test_each_rule_that_the_api_server_can_judge_is_a_policy(
    strict: list[Object],
) -> None:
    wanted = {rule.id for rule in LISTED.rules.values() if rule.in_cluster}
    assert set(of(strict, POLICY)) == wanted
    assert len(wanted) >= 60
    assert not [problem for m in strict for problem in schemas.problems(m)]


def test_errors_are_refused_in_production_alone(strict: list[Object]) -> None:
    warned = ["Warn", "Audit"]
    found = actions(strict)
    assert found["images-by-digest"] == ["Deny"]
    assert found["liveness-probes"] == warned  # a rule of warnings
    for lenient in (made(production=False), made(warn_only=True)):
        assert {tuple(a) for a in actions(lenient).values()} == {tuple(warned)}
    policies = of(strict, POLICY)
    assert policies["images-by-digest"]["spec"]["failurePolicy"] == "Fail"
    assert policies["liveness-probes"]["spec"]["failurePolicy"] == "Ignore"


def test_rules_of_production_are_left_out_elsewhere(strict: list[Object]) -> None:
    assert "two-replicas" in of(strict, POLICY)
    assert "two-replicas" not in of(made(production=False), POLICY)


def test_only_models_and_objects_of_ours_are_judged(strict: list[Object]) -> None:
    found = of(strict, BINDING)
    inside = found["rights-without-wildcards"]["spec"]["matchResources"]
    (expression,) = inside["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["models", "more"]
    assert [r["resources"] for r in inside["resourceRules"]] == [["roles"]]
    outside = found["rights-without-wildcards-of-cluster"]["spec"]["matchResources"]
    assert outside["objectSelector"]["matchLabels"] == {
        "app.kubernetes.io/part-of": "slipway"
    }
    assert [r["resources"] for r in outside["resourceRules"]] == [["clusterroles"]]


BY_CONTROLLER = "system:serviceaccount:kube-system:cronjob-controller"
BY_KEDA = "system:serviceaccount:slipway-keda:keda-operator"


@pytest.mark.parametrize(
    ("kind", "owner", "user", "is_judged"),
    [
        ("Job", "batch/v1 CronJob", BY_CONTROLLER, False),
        ("Job", "batch/v1 CronJob", "system:kube-controller-manager", False),
        ("Job", "batch/v1 CronJob", "ada", True),
        ("Job", "v1 ConfigMap", BY_CONTROLLER, True),
        ("Job", "", BY_CONTROLLER, True),
        ("HorizontalPodAutoscaler", "keda.sh/v1alpha1 ScaledObject", BY_KEDA, False),
        ("HorizontalPodAutoscaler", "keda.sh/v1alpha1 ScaledObject", "ada", True),
        ("Job", "keda.sh/v1alpha1 ScaledObject", BY_KEDA, True),
        ("Deployment", "batch/v1 CronJob", BY_CONTROLLER, True),
    ],
)
def test_what_a_controller_makes_is_not_judged(
    kind: str, owner: str, user: str, *, is_judged: bool, strict: list[Object]
) -> None:
    version, _, name = owner.partition(" ")
    owners = [{"apiVersion": version, "kind": name, "controller": True}]
    made = {"metadata": {"ownerReferences": owners if owner else []}, "spec": {"a": 1}}
    request = {
        "kind": {"kind": kind},
        "userInfo": {"username": user},
        "operation": "CREATE",
    }
    assert judged(strict, made, None, request) is is_judged
    # An update of anybody's that leaves the spec alone, such as of finalizers.
    update = {**request, "operation": "UPDATE"}
    assert judged(strict, made, {**made, "spec": {"a": 2}}, update) is is_judged
    if not is_judged:
        assert not judged(strict, made, made, {**update, "userInfo": {"username": "b"}})


def judged(
    strict: list[Object], made: Object, old: Object | None, request: Object
) -> bool:
    """What the condition of the policies says, as the API server would see it."""
    conditions = of(strict, POLICY)["images-by-digest"]["spec"]["matchConditions"]
    found = {
        one["name"]: condition(one["expression"], made, old, request)
        for one in conditions
    }
    return found["not-controlled"]


def condition(text: str, made: Object, old: Object | None, request: Object) -> bool:
    names = ("object", "oldObject", "request")
    environment = cel.NewEnv(
        variables=dict.fromkeys(names, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional()],
    )
    seen = {"object": made, "oldObject": old, "request": request}
    found = environment.compile(text).eval(data=seen)
    assert isinstance(found.plain_value(), bool), found.plain_value()
    return bool(found.plain_value())


NAMED = {"name": "example", "namespace": "models"}
SHOP = {**NAMED, "labels": {"team": "shop"}}


@pytest.mark.parametrize(
    ("rule", "old", "new", "is_judged"),
    [
        ("images-by-digest", {"spec": {"a": 1}}, {"spec": {"a": 2}}, True),
        ("images-by-digest", {"spec": {}}, {"spec": {}, "metadata": SHOP}, False),
        # This one reads labels beside the spec, all of it by optional fields.
        ("drain-before-the-end", {"spec": {}}, {"spec": {}, "metadata": SHOP}, True),
        ("drain-before-the-end", {"spec": {}}, {"spec": {}, "status": {}}, False),
        ("namespaces-are-restricted", {}, {"metadata": SHOP}, True),
        ("namespaces-are-restricted", {}, {"spec": {}}, False),
        ("rights-without-wildcards", {"rules": []}, {}, True),
        ("rights-without-wildcards", {}, {"metadata": SHOP}, False),
        # Its text has the name, which no update changes.
        ("routes-have-time-limits", {}, {"metadata": SHOP}, False),
    ],
)
def test_an_update_is_judged_if_it_changes_what_the_rule_reads(
    rule: str, old: Object, new: Object, *, is_judged: bool, strict: list[Object]
) -> None:
    (text,) = (
        one["expression"]
        for one in of(strict, POLICY)[rule]["spec"]["matchConditions"]
        if one["name"] == "changed"
    )
    before, after = {"metadata": NAMED, **old}, {"metadata": NAMED, **new}
    update = {"operation": "UPDATE"}
    assert condition(text, after, before, update) is is_judged
    assert condition(text, after, None, {"operation": "CREATE"})
    assert not condition(text, after, after, update)


def test_a_rule_that_reads_the_object_as_a_whole_is_judged_by_at_any_update() -> None:
    rule = LISTED.rules["images-by-digest"]
    whole = rule.model_copy(update={"expression": "size(object) > 9 ? ['big'] : []"})
    spec = admission.policy_of(whole, LISTED, refuses=True)["spec"]
    assert [one["name"] for one in spec["match_conditions"]] == ["not-controlled"]


def test_waivers_and_parameters_are_in_one_config_map(strict: list[Object]) -> None:
    (found,) = (m for m in strict if m["kind"] == "ConfigMap")
    assert found["data"]["gpus_per_pod"] == "8"
    data = admission.parameters(LISTED, "lab", DAY, "somewhere")["data"]
    assert "DaemonSet/kube-system/policy-agent" in data["waived.restricted-root"]
    late = admission.parameters(LISTED, "lab", date(2099, 1, 1), "somewhere")["data"]
    assert not [key for key in late if key.startswith("waived.")]


def test_nothing_is_made_unless_it_is_asked_for() -> None:
    rendered = render("platform.lab", images=IMAGES)
    names = {m["metadata"]["name"] for m in rendered.manifests}
    assert not {"slipway-rules", "slipway-images-by-digest"} & names
