"""How many replicas there are, and how many may be taken away."""

from __future__ import annotations

from collections.abc import Mapping

from pulumi_kubernetes.autoscaling import v2 as autoscaling
from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.policy import v1 as policy

from components.serving.model_server_args import Scaling

SCALE_UP_PERIOD_SECONDS = 15
SCALE_DOWN_PERIOD_SECONDS = 30


def autoscaler_spec(
    deployment: str, scaling: Scaling
) -> autoscaling.HorizontalPodAutoscalerSpecArgs:
    """By CPU: up at once (doubling), down one by one after the load stayed low."""
    return autoscaling.HorizontalPodAutoscalerSpecArgs(
        scale_target_ref=autoscaling.CrossVersionObjectReferenceArgs(
            api_version="apps/v1", kind="Deployment", name=deployment
        ),
        min_replicas=scaling.min_replicas,
        max_replicas=scaling.max_replicas,
        metrics=[
            autoscaling.MetricSpecArgs(
                type="Resource",
                resource=autoscaling.ResourceMetricSourceArgs(
                    name="cpu",
                    target=autoscaling.MetricTargetArgs(
                        type="Utilization", average_utilization=scaling.cpu_percent
                    ),
                ),
            )
        ],
        behavior=autoscaling.HorizontalPodAutoscalerBehaviorArgs(
            scale_up=_rules(
                0, ("Percent", 100), ("Pods", 2), period=SCALE_UP_PERIOD_SECONDS
            ),
            scale_down=_rules(
                scaling.scale_down_seconds,
                ("Pods", 1),
                period=SCALE_DOWN_PERIOD_SECONDS,
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


def disruption_spec(
    selector: Mapping[str, str], scaling: Scaling
) -> policy.PodDisruptionBudgetSpecArgs:
    """Evictions take away few at a time; a pod that is not ready holds up no drain."""
    return policy.PodDisruptionBudgetSpecArgs(
        selector=meta.LabelSelectorArgs(match_labels=dict(selector)),
        max_unavailable=scaling.max_unavailable,
        unhealthy_pod_eviction_policy="AlwaysAllow",
    )
