"""What one ModelServer registers, read from captured plain data."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components import naming
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.model_server import ModelServer
from components.serving.revision import Revision
from slipway.rendering.render import Rendered
from tests.support import rendered as r

KINDS = {
    "ServiceAccount": "employment",
    "NetworkPolicy": "employment",
    "Deployment": "employment",
    "Service": "employment",
    "PodDisruptionBudget": "employment",
    "HorizontalPodAutoscaler": "employment",
    "HTTPRoute": "employment",
    "BackendTrafficPolicy": "employment",
    "ConfigMap": "rules-models-employment",
}
FILTERS = ("employment-unknown-path", "employment-unknown-version")
COUNT = len(KINDS) + len(FILTERS)


@pytest.fixture(scope="module")
def one() -> Rendered:
    return r.model()


def test_it_registers_what_its_docstring_lists_and_no_more(one: Rendered) -> None:
    names = [(m["kind"], m["metadata"]["name"]) for m in one.manifests]
    wanted = [*KINDS.items(), *(("HTTPRouteFilter", name) for name in FILTERS)]
    assert sorted(names) == sorted(wanted)
    documented = ModelServer.__doc__ or ""
    for kind, name in KINDS.items():
        if kind != "ConfigMap" and f"- {kind}" in (Revision.__doc__ or ""):
            continue  # the revision's own
        shown = name.replace("models-employment", "<namespace>-<name>")
        shown = shown.replace("employment", "<name>")
        assert f"- {kind} `{shown}`" in documented
    assert "`<name>-unknown-...`" in documented


def test_without_a_route_there_is_none() -> None:
    private = r.models(models={"employment": {"model_image": "employment"}})
    public = {"HTTPRoute", "BackendTrafficPolicy"}
    assert {m["kind"] for m in private.manifests} == set(KINDS) - public
    assert private.outputs["paths"] == {}


def test_every_object_says_whose_it_is(one: Rendered) -> None:
    for m in one.manifests:
        labels = m["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "model-server"
        assert labels["app.kubernetes.io/instance"] == "employment"
        assert labels["app.kubernetes.io/part-of"] == "slipway"
        assert labels["app.kubernetes.io/managed-by"] == "pulumi"
        assert labels["app.kubernetes.io/component"]
        assert labels["app.kubernetes.io/version"] in r.IMAGES["employment"]
        assert len(labels["app.kubernetes.io/version"]) == 12
        own = m["kind"] != "ConfigMap"
        assert m["metadata"]["namespace"] == "models" if own else "slipway-monitoring"


def test_selectors_hold_only_what_never_changes(one: Rendered) -> None:
    wanted = {
        "app.kubernetes.io/name": "model-server",
        "app.kubernetes.io/instance": "employment",
    }
    deployment = r.manifest(one, "Deployment")["spec"]
    assert deployment["selector"] == {"matchLabels": wanted}
    assert deployment["template"]["metadata"]["labels"].items() >= wanted.items()
    assert r.manifest(one, "Service")["spec"]["selector"] == wanted
    budget = r.manifest(one, "PodDisruptionBudget")["spec"]
    assert budget["selector"] == {"matchLabels": wanted}
    policy = r.manifest(one, "NetworkPolicy")["spec"]
    assert policy["podSelector"] == {"matchLabels": wanted}


def test_replicas_are_the_autoscalers(one: Rendered) -> None:
    assert "replicas" not in r.manifest(one, "Deployment")["spec"]
    assert r.resource(one, "Deployment").ignore_changes == ("spec.replicas",)
    spec = r.manifest(one, "HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "employment",
    }
    (metric,) = spec["metrics"]
    assert metric["containerResource"]["container"] == "server"
    assert metric["containerResource"]["target"]["averageUtilization"] == 70


def test_it_scales_up_at_once_and_down_after_the_load_stayed_low() -> None:
    spec = r.manifest(
        r.model(scaling={"scale_down_seconds": 120}), "HorizontalPodAutoscaler"
    )["spec"]
    up, down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
    assert up["stabilizationWindowSeconds"] == 0
    assert {"type": "Percent", "value": 100, "periodSeconds": 15} in up["policies"]
    assert down["stabilizationWindowSeconds"] == 120
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 30}]


def test_a_rolling_update_never_takes_a_replica_before_it_gives_one(
    one: Rendered,
) -> None:
    spec = r.manifest(one, "Deployment")["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    assert spec["minReadySeconds"] == 3


def test_evictions_take_one_at_a_time_and_wait_for_no_broken_pod(
    one: Rendered,
) -> None:
    spec = r.manifest(one, "PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_container_is_restricted_and_pinned(one: Rendered) -> None:
    pod = r.pod(one)
    container = pod["containers"][0]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["serviceAccountName"] == "employment"
    account = r.manifest(one, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["fsGroup"] == 10001
    context = container["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["runAsGroup"] == 10001
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert container["image"] == r.IMAGES["model-server"]
    assert container["imagePullPolicy"] == "Always"


def test_the_model_is_an_image_volume_that_cannot_be_written(one: Rendered) -> None:
    pod = r.pod(one)
    volumes = {v["name"]: v for v in pod["volumes"]}
    mounts = {m["name"]: m for m in pod["containers"][0]["volumeMounts"]}
    assert volumes["model"]["image"]["reference"] == r.IMAGES["employment"]
    assert mounts["model"]["mountPath"] == "/models/employment"
    assert mounts["model"]["readOnly"] is True
    assert mounts["tmp"]["mountPath"] == "/tmp"
    assert volumes["tmp"]["emptyDir"]["sizeLimit"] == "16Mi"
    # 256 MiB of files, two that are being written and one that is being deleted.
    assert volumes["predictions"]["emptyDir"]["sizeLimit"] == "304Mi"


def test_without_a_prediction_log_there_is_no_volume_for_it() -> None:
    pod = r.pod(r.model(prediction_log={"enabled": False}))
    assert [v["name"] for v in pod["volumes"]] == ["model", "tmp"]
    assert env(pod)["MODEL_SERVER_PREDICTION_LOG"] == ""


def env(pod: dict[str, Any]) -> dict[str, str]:
    return {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}


def test_the_server_is_given_what_the_arguments_say() -> None:
    pod = r.pod(
        r.model(
            lifecycle={"deregistration_seconds": 4, "drain_seconds": 15},
            requests={"max_body_kib": 8, "max_request_rows": 7},
            prediction_log={"total_mib": 32, "file_mib": 2, "file_seconds": 9},
            arm="canary",
            log_level="debug",
        )
    )
    told = env(pod)
    assert told["MODEL_SERVER_MODEL"] == "employment"
    assert told["MODEL_SERVER_DEREGISTRATION_SECONDS"] == "4"
    assert told["MODEL_SERVER_DRAIN_SECONDS"] == "15"
    assert told["MODEL_SERVER_MAX_BODY_BYTES"] == "8192"
    assert told["MODEL_SERVER_MAX_REQUEST_ROWS"] == "7"
    assert told["MODEL_SERVER_PREDICTION_LOG_TOTAL_BYTES"] == str(32 * 2**20)
    assert told["MODEL_SERVER_PREDICTION_LOG_FILE_BYTES"] == str(2 * 2**20)
    assert told["MODEL_SERVER_PREDICTION_LOG_FILE_SECONDS"] == "9"
    assert told["MODEL_SERVER_ARM"] == "canary"
    assert told["MODEL_SERVER_LOG_LEVEL"] == "debug"
    namespace = pod["containers"][0]["env"][-1]
    assert namespace["name"] == "MODEL_SERVER_NAMESPACE"
    assert namespace["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"


def test_it_leaves_without_losing_a_request() -> None:
    pod = r.pod(
        r.model(
            lifecycle={
                "pre_stop_seconds": 7,
                "deregistration_seconds": 3,
                "drain_seconds": 30,
                "grace_seconds": 45,
            }
        )
    )
    assert pod["terminationGracePeriodSeconds"] == 45
    hook = pod["containers"][0]["lifecycle"]["preStop"]
    assert hook == {"sleep": {"seconds": 7}}


def test_without_a_pre_stop_wait_there_is_no_hook() -> None:
    pod = r.pod(r.model(lifecycle={"pre_stop_seconds": 0, "deregistration_seconds": 5}))
    assert "lifecycle" not in pod["containers"][0]


def test_probes_wait_for_the_model_and_then_watch_it() -> None:
    container = r.pod(r.model(lifecycle={"startup_seconds": 90}))["containers"][0]
    startup = container["startupProbe"]
    assert startup["httpGet"]["path"] == "/readyz"
    assert startup["periodSeconds"] * startup["failureThreshold"] == 90
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports


def test_replicas_keep_apart_but_an_only_node_takes_them_all(one: Rendered) -> None:
    pod = r.pod(one)
    spread = {c["topologyKey"]: c for c in pod["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for constraint in spread.values():
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]
    affinity = pod["affinity"]["podAntiAffinity"]
    assert list(affinity) == ["preferredDuringSchedulingIgnoredDuringExecution"]


def test_only_the_gateway_and_prometheus_get_in_and_only_dns_is_reached(
    one: Rendered,
) -> None:
    spec = r.manifest(one, "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (entry,) = spec["ingress"]
    names = [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for peer in entry["from"]
    ]
    assert names == ["slipway-gateway", "slipway-monitoring"]
    assert entry["ports"] == [{"port": 8080, "protocol": "TCP"}]
    (exit_,) = spec["egress"]
    assert {(p["port"], p["protocol"]) for p in exit_["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
    }
    (peer,) = exit_["to"]
    assert peer["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}


def test_the_route_gives_the_api_and_hides_the_rest(one: Rendered) -> None:
    spec = r.manifest(one, "HTTPRoute")["spec"]
    (gateway,) = spec["parentRefs"]
    assert (gateway["namespace"], gateway["name"]) == ("slipway-gateway", "slipway")
    rewrites = {}
    for rule in spec["rules"]:
        if "backendRefs" not in rule:  # the gateway's own answer: test_versions.py
            continue
        (match,), (rewrite,) = rule["matches"], rule["filters"]
        assert match["path"]["type"] == "PathPrefix"
        path = rewrite["urlRewrite"]["path"]
        assert path["type"] == "ReplacePrefixMatch"
        rewrites[match["path"]["value"]] = path["replacePrefixMatch"]
        assert rule["timeouts"] == {"request": "10s", "backendRequest": "10s"}
        (backend,) = rule["backendRefs"]
        assert (backend["name"], backend["port"]) == ("employment", 80)
    paths = ("/infer", "/v2", "/openapi.json")
    assert rewrites == {f"/employment/v1{path}": path for path in paths}


def test_the_service_reaches_the_named_port_and_prometheus_the_metrics(
    one: Rendered,
) -> None:
    (port,) = r.manifest(one, "Service")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")
    template = r.manifest(one, "Deployment")["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/metrics",
    }


def test_quantities_are_written_as_the_api_server_would() -> None:
    resources = r.pod(
        r.model(
            resources={
                "cpu_request_millicores": 1500,
                "cpu_limit_millicores": 2000,
                "memory_request_mib": 512,
                "memory_limit_mib": 2048,
            }
        )
    )["containers"][0]["resources"]
    assert resources == {
        "requests": {"cpu": "1500m", "memory": "512Mi", "ephemeral-storage": "384Mi"},
        "limits": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "384Mi"},
    }


def test_pods_start_after_the_policy_that_fences_them(one: Rendered) -> None:
    deployment = r.resource(one, "Deployment")
    assert r.resource(one, "NetworkPolicy").urn in deployment.depends_on
    assert r.resource(one, "ServiceAccount").urn in deployment.depends_on
    route = r.resource(one, "HTTPRoute")
    assert r.resource(one, "Service").urn in route.depends_on
    # It would change replicas while the engine waits for them.
    autoscaler = r.resource(one, "HorizontalPodAutoscaler")
    assert deployment.urn in autoscaler.depends_on


def test_alerts_come_after_the_pods_and_go_before_them(one: Rendered) -> None:
    rules = r.resource(one, "ConfigMap")
    assert r.resource(one, "Deployment").urn in rules.depends_on


def test_rules_go_where_prometheus_looks(one: Rendered) -> None:
    rules = r.manifest(one, "ConfigMap")
    assert rules["metadata"]["namespace"] == "slipway-monitoring"
    assert rules["metadata"]["labels"][naming.RULES_LABEL] == "true"
    assert list(rules["data"]) == ["models.employment.yaml"]


def test_other_platform_names_are_taken_everywhere() -> None:
    elsewhere = r.models(
        platform={
            "namespace": "team-a",
            "gateway": "edge",
            "gateway_namespace": "edge-system",
            "monitoring_namespace": "watch",
        }
    )
    assert r.manifest(elsewhere, "Deployment")["metadata"]["namespace"] == "team-a"
    assert r.manifest(elsewhere, "ConfigMap")["metadata"]["namespace"] == "watch"
    (gateway,) = r.manifest(elsewhere, "HTTPRoute")["spec"]["parentRefs"]
    assert (gateway["namespace"], gateway["name"]) == ("edge-system", "edge")
    text = str(r.manifest(elsewhere, "NetworkPolicy"))
    assert "edge-system" in text
    assert "watch" in text
    assert "slipway-gateway" not in text


def test_two_models_share_nothing_but_the_gateway() -> None:
    both = r.models(
        models={
            "employment": r.EMPLOYMENT,
            "income": {**r.EMPLOYMENT, "route": {"prefix": "/income/v1"}},
        }
    )
    assert len(both.manifests) == 2 * COUNT
    assert both.outputs["paths"] == {
        "employment": "/employment/v1",
        "income": "/income/v1",
    }


def test_nothing_is_logged_on_the_way(one: Rendered) -> None:
    assert one.messages == ()


def test_a_name_that_kubernetes_refuses_is_refused_before_any_resource() -> None:
    image = r.reference("model")
    args = ModelServerArgs(model_image=image, image=image)
    with pytest.raises(ValidationError, match="not a valid Kubernetes name"):
        ModelServer("Employment", args)


def test_arguments_cannot_be_changed() -> None:
    image = r.reference("model")
    args = ModelServerArgs(model_image=image, image=image)
    with pytest.raises(ValidationError, match="frozen"):
        args.arm = "canary"  # type: ignore[misc]
