"""Revisions: what each is made of, what they share, and who knows their weights."""

from __future__ import annotations

import pytest
import yaml

from slipway.rendering.render import Rendered
from tests.support import rendered as r
from tests.support.routes import (
    PATHS,
    ROUTES,
    Object,
    backends,
    named,
    render,
    revision,
    server,
)

OF_REVISION = ("Deployment", "Service", "PodDisruptionBudget")
SHARED = {
    ("BackendTrafficPolicy", "employment"),
    ("ServiceAccount", "employment"),
    ("NetworkPolicy", "employment"),
    ("HTTPRoute", "employment"),
    ("HTTPRouteFilter", "employment-prefix"),
    ("HTTPRouteFilter", "employment-unknown-path"),
    ("HTTPRouteFilter", "employment-unknown-revision"),
    ("HTTPRouteFilter", "employment-unknown-version"),
    ("ConfigMap", "rules-models-employment"),
}


@pytest.fixture(scope="module")
def two() -> Rendered:
    return render()


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


def rule_file(rendered: Rendered) -> list[Object]:
    (text,) = r.manifest(rendered, "ConfigMap")["data"].values()
    (group,) = yaml.safe_load(text)["groups"]
    found: list[Object] = group["rules"]
    return found


def test_a_revision_without_replicas_is_reported_though_others_are_ready(
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
    found = render(args, platform={"keda": {}})
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


def test_outputs_name_what_callers_use(two: Rendered) -> None:
    assert two.outputs["paths"] == {"employment": "/employment/v2"}
    champion, challenger = (
        r.IMAGES[name][-64:][:12] for name in ("employment", "base")
    )
    versions = f"challenger {challenger}, champion {champion}"
    assert two.outputs["versions"] == {"employment": versions}
