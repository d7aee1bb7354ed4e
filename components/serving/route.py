"""The public way to a model: an HTTPRoute at the gateway."""

from __future__ import annotations

from typing import Any

from components.serving.model_server_args import ModelServerArgs, Route
from components.serving.surroundings import Surroundings

API_VERSION = "gateway.networking.k8s.io/v1"
KIND = "HTTPRoute"
PUBLIC_PATHS = ("/infer", "/v2")
"""What the gateway lets through; /metrics and the probes stay inside the cluster."""
SERVICE_PORT = 80


def route_spec(
    service: str, route: Route, args: ModelServerArgs, surroundings: Surroundings
) -> dict[str, Any]:
    """<prefix>/infer and <prefix>/v2/... go to the server's own /infer and /v2/..."""
    timeout = f"{args.lifecycle.longest_request_seconds}s"
    return {
        "parentRefs": [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": surroundings.gateway,
                "namespace": surroundings.gateway_namespace,
                "sectionName": surroundings.gateway_listener,
            }
        ],
        "rules": [
            {
                "matches": [
                    {"path": {"type": "PathPrefix", "value": f"{route.prefix}{path}"}}
                ],
                "filters": [
                    {
                        "type": "URLRewrite",
                        "urlRewrite": {
                            "path": {
                                "type": "ReplacePrefixMatch",
                                "replacePrefixMatch": path,
                            }
                        },
                    }
                ],
                "backendRefs": [
                    {
                        "group": "",
                        "kind": "Service",
                        "name": service,
                        "port": SERVICE_PORT,
                        "weight": 1,
                    }
                ],
                "timeouts": {"request": timeout, "backendRequest": timeout},
            }
            for path in PUBLIC_PATHS
        ],
    }
