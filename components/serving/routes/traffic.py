"""How the gateway handles a lost replica: it retries on another one.

A node that fails sends no message: connections to it hang, and Kubernetes takes most of
a minute to mark its pods as gone. Until then the proxies detect it themselves
(docs/decisions/0028-a-lost-node-loses-no-request.md).
"""

from __future__ import annotations

from typing import Any

from components.serving.args.model_server_args import ModelServerArgs

CONNECT_TIMEOUT = "1s"
"""The kernel of a running host accepts a connection immediately, however busy it is."""
TRIGGERS = ("connect-failure", "refused-stream", "reset")
"""Never a status: a server's own 503 means overload, and retries would multiply it."""
EJECTION: dict[str, Any] = {
    # Two failed connections; the server's own responses never count.
    "splitExternalLocalOriginErrors": True,
    "consecutiveLocalOriginFailures": 2,
    "consecutive5XxErrors": 0,
    "consecutiveGatewayErrors": 0,
    "interval": "1s",
    "baseEjectionTime": "10s",
    # Never more than half: if most fail, the proxy itself may be the cause.
    "maxEjectionPercent": 50,
}
BREAKER: dict[str, Any] = {
    # Requests to a lost host fail at the same moment and are retried at that moment. A
    # budget in percent of active requests then rejects most of them (measured).
    "maxParallelRetries": 4096,
    # 3 s of 1000 requests a second to a lost host; servers limit their own load.
    "maxConnections": 4096,
    "maxParallelRequests": 4096,
    "maxPendingRequests": 4096,
}

Object = dict[str, Any]


def traffic(args: ModelServerArgs) -> Object:
    """Return the part of a BackendTrafficPolicy that handles the loss of replicas.

    It also ends streamed responses that stall: a node that fails during one sends no
    message either.
    """
    retries = args.requests.retries
    timeout: Object = {"tcp": {"connectTimeout": CONNECT_TIMEOUT}}
    if idle := args.lifecycle.stream_idle_seconds:
        timeout["http"] = {"streamIdleTimeout": f"{idle}s"}
    common: Object = {
        **_kept_callers(args),
        "timeout": timeout,
        "healthCheck": {"passive": EJECTION},
        # This also detects idle connections that are dead.
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
    """Return the load balancer that keeps an experiment's callers on their revision.

    If each backend has a filter, as in the weighted rules, Envoy Gateway also chooses
    between backends by the hash (release 1.9.0, envoyproxy/gateway#9629).
    """
    hashed = args.experiment.hashed() if args.experiment else []
    if not hashed:
        return {}
    headers = [{"name": name} for name in hashed]
    consistent = {"type": "Headers", "headers": headers}
    return {"loadBalancer": {"type": "ConsistentHash", "consistentHash": consistent}}
