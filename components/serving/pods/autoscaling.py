"""Number of replicas: the scaling signal.

With CPU, our own HorizontalPodAutoscaler; with in-flight requests, a ScaledObject, from
which KEDA creates one. Both add replicas immediately and remove them one at a time
after the load has stayed low.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.serving.pods.workload import CONTAINER
from components.serving.settings.scaling_settings import Scaling
from components.serving.settings.serving_platform import KedaAccess

SCALE_UP_PERIOD_SECONDS = 15
SCALE_DOWN_PERIOD_SECONDS = 30
UP = (("Percent", 100), ("Pods", 2))
DOWN = (("Pods", 1),)
POLLING_SECONDS = 5
"""How often KEDA itself queries Prometheus. Queries of the autoscaler, every 15 s
unless the control plane is configured otherwise, are passed on immediately."""
FAILURES = 3
"""Failed queries in a row after which KEDA uses the fallback."""
HOLD_SECONDS = 20
"""How long the last sample of a replica counts if Prometheus cannot scrape it."""

RATE_SECONDS = 40
"""Contains two samples of each replica, at the usual interval of 15 s."""
RATE_STEP_SECONDS = 5

REQUESTS = "model_requests_total"
INFLIGHT = "model_inflight"
"""Each replica's own series; a rule records it for servers with another name for it."""
SCALED_OBJECT = ("keda.sh/v1alpha1", "ScaledObject")
"""API version and kind."""


def autoscaler_spec(deployment: str, scaling: Scaling) -> dict[str, Any]:
    """Return the spec of an autoscaler by CPU."""
    return {
        "scaleTargetRef": _target(deployment),
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [
            {
                # The server's container only: a sidecar's CPU does not reflect the
                # load.
                "type": "ContainerResource",
                "containerResource": {
                    "container": CONTAINER,
                    "name": "cpu",
                    "target": {
                        "type": "Utilization",
                        "averageUtilization": scaling.cpu_percent,
                    },
                },
            }
        ],
        "behavior": _behavior(scaling),
    }


def _target(deployment: str) -> dict[str, str]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}


def _behavior(scaling: Scaling) -> dict[str, Any]:
    return {
        "scaleUp": _rules(0, *UP, period=SCALE_UP_PERIOD_SECONDS),
        "scaleDown": _rules(
            scaling.scale_down_seconds, *DOWN, period=SCALE_DOWN_PERIOD_SECONDS
        ),
    }


def inflight_query(selector: str) -> str:
    """Query the in-flight requests of all replicas that `selector` selects.

    The result is one number, or nothing if there is no such series, which is not zero.
    The last sample of a replica stays in the sum for a while, so one failed scrape does
    not look like less load.
    """
    return f"sum(last_over_time({INFLIGHT}{{{selector}}}[{HOLD_SECONDS}s]))"


def rate_query(selector: str) -> str:
    """Query the highest request rate per second of all replicas since the last query.

    A peak between two queries counts. A removed replica does not count, although its
    last samples still exist: the other replicas now have its load. Some servers have no
    such series before their first request; they count as zero if they are scraped at
    all.
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
    """Return the spec of a ScaledObject by in-flight requests and, if set, by rate.

    `selector`: selects the server's series. `more`: further queries with their target
    per replica. The query that requires the most replicas decides. ValueError without
    KEDA, which the layer's settings reject with path and fix.
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
        "scaleTargetRef": _target(deployment),
        "pollingInterval": POLLING_SECONDS,
        "minReplicaCount": scaling.min_replicas,
        "maxReplicaCount": scaling.max_replicas,
        "fallback": {
            "failureThreshold": FAILURES,
            "replicas": scaling.fallback_replicas or scaling.min_replicas,
            # Without a signal, it never removes a replica.
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(scaling)}},
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
            # No response is a failure, not zero load.
            "ignoreNullValues": "false",
        },
    }


def _rules(
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
