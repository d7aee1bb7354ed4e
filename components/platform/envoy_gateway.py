"""Envoy Gateway from its own chart, held to the project's rules for pods and rights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import images, naming
from components.platform import chart, charted, manifest
from components.platform.settings import EnvoyGatewaySettings
from components.security import network, pod_defaults

NAME = "envoy-gateway"
NAMESPACE = naming.GATEWAY_NAMESPACE
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
XDS_PORTS = (18000, 18001, 18002)
"""Ports at which proxies query the controller: configuration, rate limits, Wasm."""
METRICS_PORT = 19001
CERTGEN_LABELS = {"app": "certgen"}
CERTGEN_SECRETS = ("envoy-gateway", "envoy", "envoy-rate-limit", "envoy-oidc-hmac")
"""Secrets that the certificate job creates; internal/provider/kubernetes/secrets.go,
v1.9.1."""
RESOURCES = {
    "requests": {"cpu": "50m", "memory": "128Mi", **pod_defaults.disk()},
    # Without a processor limit of its own the start takes both cores of a small lab.
    "limits": {"cpu": "1", "memory": "512Mi", **pod_defaults.disk()},
}
CERTGEN_RESOURCES = {
    "requests": {"cpu": "10m", "memory": "32Mi", **pod_defaults.disk()},
    "limits": {"cpu": "500m", "memory": "128Mi", **pod_defaults.disk()},
}

Object = dict[str, Any]


def values(settings: EnvoyGatewaySettings, namespaces: Sequence[str]) -> Object:
    """The chart's values. `namespaces`: where Gateways, routes and Services may be."""
    image = settings.image_reference
    return {
        "fullnameOverride": NAME,
        # The CRDs are a part of their own: they outlive the controller.
        "crds": {"enabled": False},
        "global": {
            "images": {
                "envoyGateway": {
                    "image": image,
                    "pullPolicy": images.pull_policy(image),
                }
            }
        },
        "deployment": {
            "replicas": settings.replicas,
            "envoyGateway": {"resources": RESOURCES},
        },
        "podDisruptionBudget": {"minAvailable": 1 if settings.replicas > 1 else 0},
        "certgen": {"job": {"resources": CERTGEN_RESOURCES}},
        # Zone-aware routing needs rights on all pods and a webhook: not used.
        "topologyInjector": {"enabled": False},
        "config": {
            "envoyGateway": {
                "provider": {
                    "type": "Kubernetes",
                    "kubernetes": {
                        # A single replica need not wait for another's lease to end.
                        "leaderElection": {"disable": settings.replicas == 1},
                        "shutdownManager": {"image": image},
                        # Rights per namespace, not on all Secrets of the cluster.
                        "watch": {
                            "type": "Namespaces",
                            "namespaces": [NAMESPACE, *namespaces],
                        },
                    },
                },
            }
        },
    }


def adapted(content: Object) -> Object:
    """An object of the chart as the project wants it; the chart has no values for it.

    - labels say who manages it, hook annotations and empty fields go;
    - the API token is a volume that the pod names, not mounted automatically;
    - the certificate job stays when done, else each refresh would miss it;
    - the job's role reads only the secrets that it makes.
    """
    content = charted.managed(content)
    metadata = content["metadata"]
    if content["kind"] in ("Deployment", "Job"):
        charted.name_the_token(content["spec"]["template"]["spec"])
    if content["kind"] == "Job":
        content["spec"].pop("ttlSecondsAfterFinished")
    if content["kind"] == "Role" and metadata["name"] == f"{NAME}-certgen":
        content["rules"] = _certgen_rules()
    return content


def _certgen_rules() -> list[Object]:
    secrets = {"apiGroups": [""], "resources": ["secrets"]}
    return [
        # `create` cannot be limited to names: the object has none yet.
        {**secrets, "verbs": ["create"]},
        {**secrets, "verbs": ["get", "update"], "resourceNames": [*CERTGEN_SECRETS]},
    ]


class EnvoyGateway(pulumi.ComponentResource):
    """The controller of Gateways.

    Creates, in the gateway's namespace:

    - the chart's certificate job and what it needs, and waits for it;
    - everything else of the chart: the controller, its rights, its Service;
    - NetworkPolicies of both.
    """

    def __init__(
        self,
        name: str,
        settings: EnvoyGatewaySettings,
        namespaces: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:platform:EnvoyGateway", name, None, opts)
        objects = chart.template(
            chart.envoy_gateway_chart(settings.chart),
            release=NAME,
            namespace=NAMESPACE,
            values=values(settings, namespaces),
        )
        policies = self._add_network_policies()
        hooks = [
            o for o in objects if charted.HOOK in o["metadata"].get("annotations", {})
        ]
        certificates = manifest.Manifest(
            f"{name}-certificates",
            map(adapted, hooks),
            pulumi.ResourceOptions(parent=self, depends_on=policies),
        )
        manifest.Manifest(
            name,
            [adapted(o) for o in objects if o not in hooks],
            pulumi.ResourceOptions(parent=self, depends_on=[certificates]),
        )
        self.register_outputs({})

    def _add_network_policies(self) -> list[pulumi.Resource]:
        monitoring = network.in_namespace(naming.MONITORING_NAMESPACE)
        controller = [
            network.allow_from(network.SAME_NAMESPACE, to=XDS_PORTS),
            network.allow_from(monitoring, to=(METRICS_PORT,)),
        ]
        policies: dict[str, tuple[dict[str, str], list[network.Rule]]] = {
            NAME: ({"control-plane": NAME}, controller),
            f"{NAME}-certgen": (CERTGEN_LABELS, []),
        }
        return [
            kubernetes.networking.v1.NetworkPolicy(
                f"{policy}-network",
                metadata={
                    "name": policy,
                    "namespace": NAMESPACE,
                    "labels": naming.labels(policy, component="gateway"),
                },
                spec=network.policy_spec_both(
                    {"matchLabels": labels},
                    ingress=ingress,
                    egress=[network.allow_api_server()],
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for policy, (labels, ingress) in policies.items()
        ]
