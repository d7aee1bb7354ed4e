"""Common parts of the platform's programs: names, labels, permissions, policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.security import network, pod_defaults
from components.security.network import Rule


class Workload(pulumi.ComponentResource):
    """A program in one namespace; subclasses add what runs.

    Every object is named `name`, has the common labels and is a child of the component.
    Resource names are `<component's>-<what>`.
    """

    def __init__(
        self,
        token: str,
        name: str,
        *,
        namespace: str,
        component: str,
        opts: pulumi.ResourceOptions | None,
        former_type: str = "",
        program: str = "",
    ) -> None:
        """`former_type`: the type by which older state knows the component.

        `program`: what runs, where several components run the same; default: `name`.
        """
        if former_type:
            alias = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=former_type)])
            opts = pulumi.ResourceOptions.merge(opts, alias)
        super().__init__(token, name, None, opts)
        self.name = name
        self.namespace = namespace
        self.component = component
        self.selector = naming.selector(program or name, instance=name)
        self.labels = naming.labels(program or name, instance=name, component=component)

    def options(self, **more: Any) -> pulumi.ResourceOptions:
        """Options of a child."""
        return pulumi.ResourceOptions(parent=self, **more)

    def metadata(self, name: str = "", **more: Any) -> dict[str, Any]:
        """Metadata of a namespaced object."""
        return {
            "name": name or self.name,
            "namespace": self.namespace,
            "labels": self.labels,
            **more,
        }

    def cluster_metadata(self, name: str, **more: Any) -> dict[str, Any]:
        """Metadata of an object of the whole cluster."""
        return {"name": name, "labels": self.labels, **more}

    def pod_metadata(self, **annotations: str) -> dict[str, Any]:
        # An empty mapping says nothing, and the API server drops it.
        more = {"annotations": annotations} if annotations else {}
        return {"labels": self.labels, **more}

    def add_account(
        self, annotations: Mapping[str, str] | None = None
    ) -> kubernetes.core.v1.ServiceAccount:
        account = pod_defaults.service_account(
            self.name, self.namespace, self.labels, annotations
        )
        return kubernetes.core.v1.ServiceAccount(
            f"{self.name}-account", **account, opts=self.options()
        )

    def add_cluster_role(
        self, name: str, rules: Sequence[Mapping[str, Any]]
    ) -> kubernetes.rbac.v1.ClusterRole:
        """Rights in the whole cluster, bound to the program's account."""
        role = kubernetes.rbac.v1.ClusterRole(
            f"{self.name}-cluster-role",
            metadata=self.cluster_metadata(name),
            rules=list(rules),
            opts=self.options(),
        )
        self.bind_cluster_role(f"{self.name}-cluster-role", name, name)
        return role

    def bind_cluster_role(self, resource: str, name: str, role: str) -> None:
        kubernetes.rbac.v1.ClusterRoleBinding(
            f"{resource}-binding",
            metadata=self.cluster_metadata(name),
            role_ref=_role_ref("ClusterRole", role),
            subjects=[self.subject()],
            opts=self.options(),
        )

    def add_role(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Rights in the program's namespace, bound to its account."""
        kubernetes.rbac.v1.Role(
            f"{self.name}-role",
            metadata=self.metadata(),
            rules=list(rules),
            opts=self.options(),
        )
        self.bind_role(f"{self.name}-role", self.name, "Role", self.name)

    def bind_role(self, resource: str, name: str, kind: str, role: str) -> None:
        kubernetes.rbac.v1.RoleBinding(
            f"{resource}-binding",
            metadata=self.metadata(name),
            role_ref=_role_ref(kind, role),
            subjects=[self.subject()],
            opts=self.options(),
        )

    def subject(self) -> dict[str, str]:
        return {
            "kind": "ServiceAccount",
            "name": self.name,
            "namespace": self.namespace,
        }

    def add_config(self, data: Mapping[str, str]) -> kubernetes.core.v1.ConfigMap:
        return kubernetes.core.v1.ConfigMap(
            f"{self.name}-config",
            metadata=self.metadata(),
            data=dict(data),
            opts=self.options(),
        )

    def add_network_policy(
        self, ingress: Sequence[Rule], egress: Sequence[Rule]
    ) -> None:
        kubernetes.networking.v1.NetworkPolicy(
            f"{self.name}-network",
            metadata=self.metadata(),
            spec=network.policy_spec_both(
                {"matchLabels": self.selector}, ingress=ingress, egress=egress
            ),
            opts=self.options(),
        )

    def add_service(
        self, port: int, *, node_port: int | None = None, port_name: str = "http"
    ) -> kubernetes.core.v1.Service:
        """One port; on every node too if `node_port` is given."""
        entry: dict[str, Any] = {
            "name": port_name,
            "port": port,
            "protocol": "TCP",
            "targetPort": port_name,
        }
        if node_port:
            entry["nodePort"] = node_port
        return kubernetes.core.v1.Service(
            f"{self.name}-service",
            metadata=self.metadata(annotations=naming.SERVICE_WAIT),
            spec={
                "type": "NodePort" if node_port else "ClusterIP",
                "selector": self.selector,
                "ports": [entry],
            },
            opts=self.options(),
        )

    def add_headless_service(
        self, ports: Sequence[int] = (), annotations: Mapping[str, str] = {}
    ) -> kubernetes.core.v1.Service:
        """A name for each pod, from its start on: pods look for each other by it."""
        spec: dict[str, Any] = {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": self.selector,
        }
        if ports:
            spec["ports"] = [
                {"name": f"tcp-{port}", "port": port, "protocol": "TCP"}
                for port in ports
            ]
        return kubernetes.core.v1.Service(
            f"{self.name}-service",
            metadata=self.metadata(annotations=annotations),
            spec=spec,
            opts=self.options(),
        )

    def add_stateful_set(
        self,
        template: Mapping[str, Any],
        claims: Sequence[Mapping[str, Any]] = (),
        **more: Any,
    ) -> kubernetes.apps.v1.StatefulSet:
        """One pod that keeps its name and, by `claims`, its volumes."""
        spec: dict[str, Any] = {
            "replicas": 1,
            "serviceName": self.name,
            **more,
            "selector": {"matchLabels": self.selector},
            "template": template,
        }
        if claims:
            spec["volumeClaimTemplates"] = list(claims)
        return kubernetes.apps.v1.StatefulSet(
            f"{self.name}-set",
            metadata=self.metadata(),
            spec=spec,
            opts=self.options(),
        )

    def add_disruption_budget(self, replicas: int) -> None:
        """One pod at a time may be drained away, where there is more than one."""
        if replicas < 2:
            return
        kubernetes.policy.v1.PodDisruptionBudget(
            f"{self.name}-disruption",
            metadata=self.metadata(),
            spec=disruption_spec(self.selector),
            opts=self.options(),
        )

    def spread(self) -> list[dict[str, Any]]:
        """Pods on different nodes as far as there are any."""
        return [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": self.selector},
            }
        ]


def _role_ref(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


def disruption_spec(
    selector: Mapping[str, str], max_unavailable: int = 1
) -> dict[str, Any]:
    """Limit concurrent evictions; pods that are not ready do not block a drain.

    With the default policy, a pod that never becomes ready could not be evicted while
    the budget is not met:
    https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
    """
    return {
        "maxUnavailable": max_unavailable,
        "selector": {"matchLabels": dict(selector)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def http_probe(
    path: str, port: int | str, *, seconds: int, failures: int = 3, scheme: str = "HTTP"
) -> dict[str, Any]:
    """A probe every `seconds` that gives up after `failures`."""
    return {
        "httpGet": {"path": path, "port": port, "scheme": scheme},
        "periodSeconds": seconds,
        "failureThreshold": failures,
        "timeoutSeconds": min(seconds, 5),
    }
