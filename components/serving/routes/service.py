"""The Service of a model server's pods."""

from __future__ import annotations

from collections.abc import Mapping

from pulumi_kubernetes.core import v1 as core_v1

from components.serving.pods import workload
from components.serving.routes import route
from components.serving.runtimes.base import Runtime


def service_spec(
    selector: Mapping[str, str], runtime: Runtime
) -> core_v1.ServiceSpecArgs:
    """Port 80, and the port of gRPC if the runtime has one."""
    ports = [
        core_v1.ServicePortArgs(
            name=workload.PORT_NAME,
            port=route.SERVICE_PORT,
            target_port=workload.PORT_NAME,
            protocol="TCP",
        )
    ]
    if runtime.grpc_port:
        ports.append(
            core_v1.ServicePortArgs(
                name=workload.GRPC_NAME,
                port=runtime.grpc_port,
                target_port=workload.GRPC_NAME,
                protocol="TCP",
                app_protocol="kubernetes.io/h2c",
            )
        )
    return core_v1.ServiceSpecArgs(type="ClusterIP", selector=selector, ports=ports)
