"""How many replicas there are, by which signal, and how many may be taken away.

By CPU an HorizontalPodAutoscaler of ours; by requests in flight a ScaledObject, of
which KEDA makes one. Both go up at once and down one by one after the load stayed low.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_kubernetes.autoscaling import v2 as autoscaling
from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.policy import v1 as policy

from components.serving.pods.workload import CONTAINER
from components.serving.settings.scaling_settings import Scaling
from components.serving.settings.serving_platform import KedaAccess

SCALE_UP_PERIOD_SECONDS = 15
SCALE_DOWN_PERIOD_SECONDS = 30
UP = (("Percent", 100), ("Pods", 2))
DOWN = (("Pods", 1),)
POLLING_SECONDS = 5
"""How often KEDA asks Prometheus of itself; the autoscaler's own questions, every
15 s unless the control plane says otherwise, are passed on at once."""
FAILURES = 3
"""Failed questions in a row after which KEDA answers by the fallback."""
HOLD_SECONDS = 20
"""A replica that Prometheus could not scrape counts as before for so long."""

RATE_SECONDS = 40
"""Two samples of each replica are within it, at the usual 15 s from one to the next."""
RATE_STEP_SECONDS = 5

REQUESTS = "model_requests_total"
INFLIGHT = "model_inflight"
"""Each replica's own series; a rule records it for servers that call it otherwise."""
SCALED_OBJECT = ("keda.sh/v1alpha1", "ScaledObject")
"""API version and kind."""


def autoscaler_spec(
    deployment: str, scaling: Scaling
) -> autoscaling.HorizontalPodAutoscalerSpecArgs:
    """By CPU."""
    return autoscaling.HorizontalPodAutoscalerSpecArgs(
        scale_target_ref=autoscaling.CrossVersionObjectReferenceArgs(
            api_version="apps/v1", kind="Deployment", name=deployment
        ),
        min_replicas=scaling.min_replicas,
        max_replicas=scaling.max_replicas,
        metrics=[
            autoscaling.MetricSpecArgs(
                # The server's alone: a sidecar's use says nothing of the load.
                type="ContainerResource",
                container_resource=autoscaling.ContainerResourceMetricSourceArgs(
                    container=CONTAINER,
                    name="cpu",
                    target=autoscaling.MetricTargetArgs(
                        type="Utilization", average_utilization=scaling.cpu_percent
                    ),
                ),
            )
        ],
        behavior=autoscaling.HorizontalPodAutoscalerBehaviorArgs(
            scale_up=_rules(0, *UP, period=SCALE_UP_PERIOD_SECONDS),
            scale_down=_rules(
                scaling.scale_down_seconds, *DOWN, period=SCALE_DOWN_PERIOD_SECONDS
            ),
        ),
    )


def _rules(
    stabilization_seconds: int, *steps: tuple[str, int], period: int
) -> autoscaling.HPAScalingRulesArgs:
    return autoscaling.HPAScalingRulesArgs(
        stabilization_window_seconds=stabilization_seconds,
        select_policy="Max",
        policies=[
            autoscaling.HPAScalingPolicyArgs(
                type=kind, value=value, period_seconds=period
            )
            for kind, value in steps
        ],
    )


def inflight_query(selector: str) -> str:
    """Requests in flight in all replicas of the server that `selector` chooses.

    One number, or nothing where there is no such series, which is not zero. What was
    last seen of a replica stays in the sum for a while, so that one failed scrape does
    not look like less load.
    """
    return f"sum(last_over_time({INFLIGHT}{{{selector}}}[{HOLD_SECONDS}s]))"


def rate_query(selector: str) -> str:
    """Requests per second of all replicas: the most that was seen since the last look.

    A peak between two looks counts. A replica that is gone does not, though its last
    samples are still there: what was its load is now that of the others. Some servers
    have no such series before their first request; zero is what they say then, if they
    are scraped at all.
    """
    series = f"{REQUESTS}{{{selector}}}"
    rate = f"sum(irate({series}[{RATE_SECONDS}s]) and {series})"
    none_yet = f"0 * sum({INFLIGHT}{{{selector}}})"
    within = f"[{HOLD_SECONDS}s:{RATE_STEP_SECONDS}s]"
    return f"max_over_time(({rate} or {none_yet}){within})"


def scaled_object_spec(
    deployment: str,
    scaling: Scaling,
    keda: KedaAccess | None,
    selector: str,
    *,
    more: Sequence[tuple[str, float]] = (),
) -> dict[str, Any]:
    """By requests in flight, and by their rate where what a replica bears is given.

    `selector`: chooses the server's series. `more`: further queries and what of each is
    held per replica. Whichever asks for the most replicas decides.

    ValueError without KEDA: what the layer's settings refuse with path and fix.
    """
    if keda is None or scaling.inflight_per_replica is None:
        raise ValueError(
            f"{deployment}: signal inflight needs platform.keda and "
            "scaling.inflight_per_replica"
        )
    held = [(inflight_query(selector), scaling.inflight_per_replica)]
    if scaling.rate_per_replica:
        held.append((rate_query(selector), scaling.rate_per_replica))
    return {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": deployment,
        },
        "pollingInterval": POLLING_SECONDS,
        "minReplicaCount": scaling.min_replicas,
        "maxReplicaCount": scaling.max_replicas,
        "fallback": {
            "failureThreshold": FAILURES,
            "replicas": scaling.fallback_replicas or scaling.min_replicas,
            # Blind, it never takes a replica away.
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleUp": _plain_rules(0, *UP, period=SCALE_UP_PERIOD_SECONDS),
                    "scaleDown": _plain_rules(
                        scaling.scale_down_seconds,
                        *DOWN,
                        period=SCALE_DOWN_PERIOD_SECONDS,
                    ),
                }
            }
        },
        "triggers": [
            _trigger(keda.prometheus, query, per_replica)
            for query, per_replica in (*held, *more)
        ],
    }


def _trigger(prometheus: str, query: str, per_replica: float) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": prometheus,
            "query": query,
            "threshold": f"{per_replica:g}",
            # No answer is a failure, not a load of zero.
            "ignoreNullValues": "false",
        },
    }


def _plain_rules(
    stabilization_seconds: int, *steps: tuple[str, int], period: int
) -> dict[str, Any]:
    return {
        "stabilizationWindowSeconds": stabilization_seconds,
        "selectPolicy": "Max",
        "policies": [
            {"type": kind, "value": value, "periodSeconds": period}
            for kind, value in steps
        ],
    }


def disruption_spec(
    selector: Mapping[str, str], scaling: Scaling
) -> policy.PodDisruptionBudgetSpecArgs:
    """Evictions take away few at a time; a pod that is not ready holds up no drain."""
    return policy.PodDisruptionBudgetSpecArgs(
        selector=meta.LabelSelectorArgs(match_labels=dict(selector)),
        max_unavailable=scaling.max_unavailable,
        unhealthy_pod_eviction_policy="AlwaysAllow",
    )
