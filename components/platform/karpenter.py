"""Karpenter's controller from its own chart, held to the project's rules for pods."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.platform import chart, charted, manifest, package
from components.platform.karpenter_settings import KarpenterSettings
from components.security import network, pod_defaults

GROUP = "karpenter-aws"
NAME = naming.KARPENTER
NAMESPACE = naming.KARPENTER_NAMESPACE
METRICS_PORT = 8080
HEALTH_PORT = 8081
POD_IDENTITY_AGENT = {"ipBlock": {"cidr": "169.254.170.23/32"}}
"""Address at which the EKS Pod Identity Agent provides credentials, on every node.
https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html"""
RESOURCES = {
    # The publisher's advice for up to some hundred nodes is 1 CPU and 1 GiB.
    "requests": {"cpu": "250m", "memory": "512Mi", **pod_defaults.disk()},
    "limits": {"cpu": "2", "memory": "1Gi", **pod_defaults.disk()},
}

Object = dict[str, Any]


def values(
    settings: KarpenterSettings,
    cluster: str,
    queue: str,
    *,
    overlays: bool,
    isolated: bool = False,
) -> Object:
    """The chart's values. `overlays`: some pool's GPUs are cut or shared.

    `isolated`: AWS is reached by endpoints alone; IAM and the price list have none.
    """
    return {
        "replicas": settings.replicas,
        "imagePullPolicy": "Always",
        "controller": {
            "resources": RESOURCES,
            "metrics": {"port": METRICS_PORT},
            "healthProbe": {"port": HEALTH_PORT},
        },
        "podAnnotations": naming.scrape_annotations(METRICS_PORT),
        "settings": {
            "clusterName": cluster,
            "interruptionQueue": queue,
            # It asks the EKS API for endpoint and CA, so that no name is looked up.
            "eksControlPlane": True,
            "isolatedVPC": isolated,
            "featureGates": {"reservedCapacity": True, "nodeOverlay": overlays},
        },
    }


def adapted(content: Object, image: str) -> Object:
    """An object of the chart as the project wants it; the chart has no values for it.

    - labels say who manages it; the image is by digest alone, without a tag;
    - the API token is a volume that the pod names, not mounted automatically.
    """
    content = charted.managed(content)
    if content["kind"] == "ServiceAccount":
        content["automountServiceAccountToken"] = False
    if content["kind"] == "Deployment":
        pod = content["spec"]["template"]["spec"]
        charted.name_the_token(pod)
        pod["enableServiceLinks"] = False
        for container in pod["containers"]:
            container["image"] = image
    return content


class KarpenterDefinitions(pulumi.ComponentResource):
    """The kinds of node pools.

    Creates:

    - each CustomResourceDefinition of the publisher's module.

    To delete a CRD deletes all its objects, and Karpenter then ends their nodes, so
    that they stay at `destroy` unless `retain` is false.
    """

    def __init__(
        self,
        name: str,
        settings: KarpenterSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:platform:KarpenterDefinitions", name, None, opts)
        manifest.Manifest(
            name,
            definitions(),
            pulumi.ResourceOptions(parent=self),
            child=pulumi.ResourceOptions(retain_on_delete=settings.retain),
        )
        self.register_outputs({})


class Karpenter(pulumi.ComponentResource):
    """The controller of elastic node pools.

    Creates, in kube-system, where the API server serves it before others:

    - everything of the chart: the controller, its rights, its Service;
    - NetworkPolicy: scraped by Prometheus; asks the API server, AWS and the Pod
      Identity Agent.
    """

    def __init__(
        self,
        name: str,
        settings: KarpenterSettings,
        *,
        cluster: str,
        interruption_queue: str,
        overlays: bool = False,
        isolated: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`overlays`: heed NodeOverlays, an alpha feature that shared GPUs need.

        `isolated`: ask no service of AWS that has no endpoint in a VPC.
        """
        super().__init__("slipway:platform:Karpenter", name, None, opts)
        objects = chart.template(
            package.folder(GROUP) / "chart",
            release=NAME,
            namespace=NAMESPACE,
            values=values(
                settings,
                cluster,
                interruption_queue,
                overlays=overlays,
                isolated=isolated,
            ),
        )
        policy = self._add_network_policy()
        manifest.Manifest(
            name,
            [adapted(o, settings.image_reference) for o in objects],
            pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.register_outputs({})

    def _add_network_policy(self) -> kubernetes.networking.v1.NetworkPolicy:
        return kubernetes.networking.v1.NetworkPolicy(
            f"{NAME}-network",
            metadata={
                "name": NAME,
                "namespace": NAMESPACE,
                "labels": naming.labels(NAME, component="autoscaler"),
            },
            spec=network.policy_spec_both(
                {"matchLabels": naming.selector(NAME)},
                ingress=[
                    network.allow_from(
                        network.in_namespace(naming.MONITORING_NAMESPACE),
                        to=(METRICS_PORT,),
                    )
                ],
                egress=[
                    network.allow_dns(),
                    # The API server and the endpoints of AWS.
                    network.allow_api_server(),
                    network.allow_to(POD_IDENTITY_AGENT, on=(80,)),
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def definitions() -> tuple[Object, ...]:
    """The CRDs of the pinned release."""
    return chart.custom_resource_definitions(package.folder(GROUP) / "crds")
