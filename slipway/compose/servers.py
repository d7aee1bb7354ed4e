"""The model servers, and the gateway's view of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from slipway.compose import reach, traffic
from slipway.compose.composition import Composition
from slipway.compose.container import GPU, Container, only_container
from slipway.compose.objects import (
    Object,
    Objects,
    name_of,
    namespace_of,
    problem,
)
from slipway.compose.reach import network

HTTP2 = ("kubernetes.io/h2c", "h2c")


@dataclass(frozen=True)
class Backend:
    """One port of a Service as the gateway reaches it."""

    cluster: str
    hosts: tuple[str, ...]
    port: int
    health_path: str
    http2: bool = False
    traffic: dict[str, Any] = field(default_factory=dict)
    """Fields of Envoy's cluster by the policy of the route."""


@dataclass
class Backends:
    """The Services that routes lead to, found as routes ask for them."""

    objects: Objects
    _found: dict[str, Backend] = field(default_factory=dict)

    def cluster_of(self, route: Object, reference: dict[str, Any]) -> str:
        """Name of Envoy's cluster for a backendRef."""
        namespace = reference.get("namespace") or namespace_of(route)
        service = self.objects.find("Service", reference["name"], namespace)
        workloads = self.objects.selected(service) if service else []
        if service is None or not workloads:
            raise problem(
                route,
                "spec.rules.backendRefs",
                reference["name"],
                "it leads to no model server of these stacks",
                "remove it from the route, or run the stack on a cluster",
            )
        name = f"service/{namespace}/{reference['name']}/{reference['port']}"
        asked = traffic.cluster(traffic.of(self.objects, route))
        if name not in self._found:
            found = _backend(name, service, workloads, reference["port"])
            self._found[name] = replace(found, traffic=asked)
        elif self._found[name].traffic != asked:
            raise problem(
                route,
                "spec.rules.backendRefs",
                reference["name"],
                "another route to it has another BackendTrafficPolicy",
                "give both routes the same connection limits",
            )
        return name

    def used(self) -> list[Backend]:
        """Every backend that a route has asked for."""
        return list(self._found.values())


def _backend(
    name: str, service: Object, workloads: list[Object], number: int
) -> Backend:
    port = next(p for p in service["spec"]["ports"] if p["port"] == number)
    wanted = port.get("targetPort", number)
    container = only_container(workloads[0])
    probe = container.get("readinessProbe", {}).get("httpGet", {})
    target = _port(container, wanted)
    same = bool(probe) and _port(container, probe["port"]) == target
    return Backend(
        cluster=name,
        hosts=tuple(name_of(workload) for workload in workloads),
        port=target,
        health_path=probe.get("path", "/") if same else "",
        http2=port.get("appProtocol") in HTTP2 or port.get("name") == "grpc",
    )


def _port(container: Object, wanted: int | str) -> int:
    if isinstance(wanted, int):
        return wanted
    ports = {p.get("name"): int(p["containerPort"]) for p in container["ports"]}
    return ports[wanted]


def add(composition: Composition, objects: Objects) -> list[Object]:
    """Adds every workload of the models' stack; returns them."""
    workloads = objects.kind("Deployment", "StatefulSet")
    for workload in workloads:
        name = name_of(workload)
        container = Container(composition, objects, workload, only_container(workload))
        count = _replicas(composition, objects, workload)
        if count > 1 and GPU in container_limits(workload):
            raise problem(
                workload,
                "spec.replicas",
                count,
                "Compose gives all replicas of a service the same GPUs",
                "set the minimum to one replica, or run the stack on a cluster",
            )
        service = container.service(count)
        composition.networks[network(name)] = {"internal": True}
        service["networks"] = {network(name): {}}
        reach.add(composition, objects, workload, service)
        composition.add(name, service)
    return workloads


def container_limits(workload: Object) -> Object:
    """Limits of a workload's only container."""
    found: Object = only_container(workload).get("resources", {}).get("limits", {})
    return found


def _replicas(composition: Composition, objects: Objects, workload: Object) -> int:
    """The least that the autoscaler would leave: nothing scales here."""
    name = name_of(workload)
    for scaler in objects.kind("HorizontalPodAutoscaler", "ScaledObject"):
        spec = scaler["spec"]
        if spec["scaleTargetRef"]["name"] == name:
            least = spec.get("minReplicas", spec.get("minReplicaCount", 1))
            most = spec.get("maxReplicas", spec.get("maxReplicaCount", least))
            count = max(int(least), 1)
            more = (
                ""
                if GPU in container_limits(workload)
                else "; `docker compose up --detach --no-recreate "
                f"--scale {name}={count + 1}` adds one"
            )
            composition.add_remark(
                f"{name} always has {count} replica{'s' if count > 1 else ''} (a "
                f"cluster would scale it up to {most}){more}."
            )
            return count
    return int(workload["spec"].get("replicas", 1))
