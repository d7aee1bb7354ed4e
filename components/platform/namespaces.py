"""The project's namespaces: Pod Security `restricted`, nothing may talk to anything."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.platform import waker_slices
from components.platform.settings import NamespaceSettings
from components.security import network

POD_SECURITY = "pod-security.kubernetes.io"


class Namespaces(pulumi.ComponentResource):
    """Namespaces and their defaults.

    Creates, for the gateway, for monitoring, for KEDA if it is there and for each
    namespace of models:

    - the Namespace, which refuses pods that are not `restricted`;
    - a NetworkPolicy `default-deny` for all its pods, both ways;
    - a NetworkPolicy `allow-dns` for all its pods.

    For all namespaces of models together, a ValidatingAdmissionPolicy `waker-slices`
    and its binding: the waker may add itself to models' endpoints, and change nothing
    else of them.
    """

    def __init__(
        self,
        name: str,
        settings: NamespaceSettings,
        opts: pulumi.ResourceOptions | None = None,
        *,
        keda: bool = False,
    ) -> None:
        """`keda`: whether KEDA needs its own, too."""
        super().__init__("slipway:platform:Namespaces", name, None, opts)
        self.settings = settings
        self._add(naming.GATEWAY_NAMESPACE, component="gateway", routes=True)
        self._add(naming.MONITORING_NAMESPACE, component="monitoring", routes=False)
        if keda:
            self._add(naming.KEDA_NAMESPACE, component="autoscaler", routes=False)
        for models in settings.models:
            self._add(models, component="models", routes=True)
        if settings.models:
            waker_slices.add(settings.models, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})

    def _add(self, name: str, *, component: str, routes: bool) -> None:
        add_namespace(
            name,
            component=component,
            routes=routes,
            pod_security_version=self.settings.pod_security_version,
            opts=pulumi.ResourceOptions(parent=self),
        )


def add_namespace(
    name: str,
    *,
    component: str,
    routes: bool = False,
    pod_security_version: str = "latest",
    opts: pulumi.ResourceOptions | None = None,
) -> kubernetes.core.v1.Namespace:
    """One such namespace with its policies; `routes`: they may join the Gateway."""
    labels = naming.labels(name, component=component)
    enforced = {
        f"{POD_SECURITY}/{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", "restricted"), ("-version", pod_security_version))
    }
    attach = {naming.ROUTES_LABEL: "true"} if routes else {}
    namespace = kubernetes.core.v1.Namespace(
        name,
        metadata={"name": name, "labels": {**labels, **enforced, **attach}},
        opts=opts,
    )
    policies: dict[str, dict[str, object]] = {
        "default-deny": {"policyTypes": ["Ingress", "Egress"]},
        "allow-dns": {"policyTypes": ["Egress"], "egress": [network.allow_dns()]},
    }
    for policy, rules in policies.items():
        kubernetes.networking.v1.NetworkPolicy(
            f"{name}-{policy}",
            metadata={"name": policy, "namespace": name, "labels": labels},
            spec={"podSelector": {}, **rules},
            opts=pulumi.ResourceOptions(parent=namespace),
        )
    return namespace
