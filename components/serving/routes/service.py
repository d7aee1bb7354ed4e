"""The Service of a model server's pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.serving.pods import workload
from components.serving.routes import route
from components.serving.runtimes.base import Runtime


def service_spec(selector: Mapping[str, str], runtime: Runtime) -> dict[str, Any]:
    """Port 80, and the port of gRPC if the runtime has one."""
    ports = [
        {
            "name": workload.PORT_NAME,
            "port": route.SERVICE_PORT,
            "targetPort": workload.PORT_NAME,
            "protocol": "TCP",
        }
    ]
    if runtime.grpc_port:
        ports.append(
            {
                "name": workload.GRPC_NAME,
                "port": runtime.grpc_port,
                "targetPort": workload.GRPC_NAME,
                "protocol": "TCP",
                "appProtocol": "kubernetes.io/h2c",
            }
        )
    return {"type": "ClusterIP", "selector": dict(selector), "ports": ports}
