"""Scaling by requests in flight: the ScaledObject, its query and its alert."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from components.platform import keda_manifests
from components.serving.alerts import rules
from components.serving.pods import autoscaling
from components.serving.revision import Revision
from components.serving.settings.scaling_settings import Scaling
from components.serving.settings.serving_platform import KedaAccess
from slipway.rendering.render import Rendered
from tests.support import rendered as r
from tests.support import schemas

INFLIGHT = {"signal": "inflight", "inflight_per_replica": 8}


def scaled(**scaling: Any) -> Rendered:
    return r.models(
        platform={"keda": {}},
        models={"employment": {**r.EMPLOYMENT, "scaling": {**INFLIGHT, **scaling}}},
    )


def test_it_has_one_autoscaler_and_that_is_kedas() -> None:
    found = scaled()
    assert not [m for m in found.manifests if m["kind"] == "HorizontalPodAutoscaler"]
    scaled_object = r.manifest(found, "ScaledObject")
    assert scaled_object["metadata"]["name"] == "employment"
    assert "a ScaledObject" in (Revision.__doc__ or "")
    # Its replicas are set by nobody else.
    assert "replicas" not in r.manifest(found, "Deployment")["spec"]
    assert r.resource(found, "Deployment").ignore_changes == ("spec.replicas",)


def test_it_is_as_kedas_own_definition_wants_it() -> None:
    (crd,) = [
        crd
        for crd in keda_manifests.definitions()
        if crd["metadata"]["name"] == "scaledobjects.keda.sh"
    ]
    scaled_object = r.manifest(scaled(), "ScaledObject")
    assert schemas.crd_problems(scaled_object, crd) == []
    scaled_object["spec"]["pollingIntervall"] = 5
    assert schemas.crd_problems(scaled_object, crd)


def test_no_answer_is_never_a_load_of_zero() -> None:
    spec = r.manifest(scaled(), "ScaledObject")["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert "vector(0)" not in trigger["metadata"]["query"]
    assert spec["fallback"] == {
        "failureThreshold": 3,
        "replicas": 2,
        "behavior": "currentReplicasIfHigher",
    }
    more = r.manifest(scaled(fallback_replicas=3), "ScaledObject")["spec"]
    assert more["fallback"]["replicas"] == 3


def test_it_goes_by_the_servers_own_requests_in_flight() -> None:
    spec = r.manifest(scaled(max_replicas=9), "ScaledObject")["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metricType"] == "AverageValue"
    selector = rules.selector("employment", "models")
    assert selector in trigger["metadata"]["query"]
    assert trigger["metadata"]["query"].startswith("sum(")
    assert trigger["metadata"]["threshold"] == "8"
    address = "http://prometheus.slipway-monitoring.svc:9090"
    assert trigger["metadata"]["serverAddress"] == address
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 9)
    assert spec["pollingInterval"] == 5


def test_it_goes_by_the_rate_too_where_a_replicas_is_known() -> None:
    spec = r.manifest(scaled(rate_per_replica="22.5"), "ScaledObject")["spec"]
    flight, rate = spec["triggers"]
    selector = rules.selector("employment", "models")
    series = f"model_requests_total{{{selector}}}"
    assert "model_inflight" in flight["metadata"]["query"]
    assert rate["metadata"]["threshold"] == "22.5"
    assert rate["metadata"]["query"] == (
        f"max_over_time((sum(irate({series}[40s]) and {series})"
        f" or 0 * sum(model_inflight{{{selector}}}))[20s:5s])"
    )
    assert {**rate, "metadata": None} == {**flight, "metadata": None}


def test_both_signals_go_up_at_once_and_down_after_a_while() -> None:
    spec = r.manifest(scaled(scale_down_seconds=90), "ScaledObject")["spec"]
    by_flight = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    by_cpu = r.manifest(
        r.model(scaling={"scale_down_seconds": 90}), "HorizontalPodAutoscaler"
    )["spec"]["behavior"]
    assert by_flight == by_cpu
    assert by_flight["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert by_flight["scaleDown"]["stabilizationWindowSeconds"] == 90


def test_without_keda_a_program_of_ones_own_is_reported() -> None:
    scaling = Scaling(signal="inflight", inflight_per_replica=2)
    with pytest.raises(ValueError, match=r"platform\.keda"):
        autoscaling.scaled_object_spec("m", scaling, None, "")
    spec = autoscaling.scaled_object_spec(
        "m", scaling, KedaAccess(), "a", more=[("c", 0.5)]
    )
    asked = [t["metadata"] for t in spec["triggers"]]
    assert [(t["query"], t["threshold"]) for t in asked] == [
        ("sum(last_over_time(model_inflight{a}[20s]))", "2"),
        ("c", "0.5"),
    ]


def test_the_lost_signal_is_reported_where_it_is_used() -> None:
    def alerts(found: Rendered) -> set[str]:
        (text,) = r.manifest(found, "ConfigMap")["data"].values()
        (group,) = yaml.safe_load(text)["groups"]
        return {rule["alert"] for rule in group["rules"] if "alert" in rule}

    assert alerts(scaled()) - alerts(r.model()) == {"ModelScalingSignalAbsent"}
