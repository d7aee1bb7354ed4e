"""What the gateway does when a replica is not there: it asks another one.

A node that dies says nothing: connections to it hang, and Kubernetes takes most of a
minute to call its pods gone. Until then the proxies find out by themselves
(docs/decisions/0028-a-lost-node-loses-no-request.md).
"""

from __future__ import annotations

from typing import Any

from components.serving.args.model_server_args import ModelServerArgs

CONNECT_TIMEOUT = "1s"
"""The kernel of a host that lives takes a connection at once, however busy it is."""
TRIGGERS = ("connect-failure", "refused-stream", "reset")
"""Never a status: a server's own 503 says that it is busy, and would be multiplied."""
EJECTION: dict[str, Any] = {
    # Two requests that found nobody; what a server answers itself never counts.
    "splitExternalLocalOriginErrors": True,
    "consecutiveLocalOriginFailures": 2,
    "consecutive5XxErrors": 0,
    "consecutiveGatewayErrors": 0,
    "interval": "1s",
    "baseEjectionTime": "10s",
    # Never more than half: where most are ill, it may be the proxy that is.
    "maxEjectionPercent": 50,
}
BREAKER: dict[str, Any] = {
    # What waits for a lost host fails in one moment, and is asked again in that moment:
    # a budget in percent of what is under way then refuses most of it (measured).
    "maxParallelRetries": 4096,
    # 3 s of 1000 requests a second that wait for nobody; servers bound their own load.
    "maxConnections": 4096,
    "maxParallelRequests": 4096,
    "maxPendingRequests": 4096,
}

Object = dict[str, Any]


def traffic(args: ModelServerArgs) -> Object:
    """The part of a route's BackendTrafficPolicy that meets the loss of replicas.

    And an answer that stands still, where answers come in pieces: a node that dies in
    the midst of one says nothing either.
    """
    retries = args.requests.retries
    timeout: Object = {"tcp": {"connectTimeout": CONNECT_TIMEOUT}}
    if idle := args.lifecycle.stream_idle_seconds:
        timeout["http"] = {"streamIdleTimeout": f"{idle}s"}
    common: Object = {
        **_kept_callers(args),
        "timeout": timeout,
        "healthCheck": {"passive": EJECTION},
        # A connection that waits for its next request is found dead, too.
        "tcpKeepalive": {"idleTime": "5s", "interval": "1s", "probes": 3},
        "circuitBreaker": BREAKER,
    }
    if not retries.attempts:
        return {**common, "retry": {"numRetries": 0}}
    per_retry: Object = {"backOff": {"baseInterval": "25ms", "maxInterval": "250ms"}}
    if retries.attempt_seconds:
        per_retry["timeout"] = f"{retries.attempt_seconds}s"
    return {
        **common,
        "retry": {
            "numRetries": retries.attempts,
            "retryOn": {"triggers": list(TRIGGERS)},
            "perRetry": per_retry,
        },
    }


def _kept_callers(args: ModelServerArgs) -> Object:
    """The load balancer that keeps an experiment's callers on their revision.

    Where each backend has a filter, as in the weighted rules, Envoy Gateway draws
    between them by the hash, too (release 1.9.0, envoyproxy/gateway#9629).
    """
    hashed = args.experiment.hashed() if args.experiment else []
    if not hashed:
        return {}
    headers = [{"name": name} for name in hashed]
    consistent = {"type": "Headers", "headers": headers}
    return {"loadBalancer": {"type": "ConsistentHash", "consistentHash": consistent}}
