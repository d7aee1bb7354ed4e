"""KEDA from its publisher's module, held to the project's rules for pods and rights."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.platform import keda_manifests as manifests
from components.platform import manifest
from components.platform.keda_settings import KedaSettings
from components.security import network
from components.workload import disruption_spec

NAMESPACE = naming.KEDA_NAMESPACE


class KedaDefinitions(pulumi.ComponentResource):
    """The kinds of scaled objects.

    Creates:

    - each CustomResourceDefinition of the publisher's module.

    To delete a CRD deletes all its objects, and the HPAs that KEDA made of them, so
    that they stay at `destroy` unless `retain` is false.
    """

    def __init__(
        self,
        name: str,
        settings: KedaSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:platform:KedaDefinitions", name, None, opts)
        manifest.Manifest(
            name,
            manifests.definitions(),
            pulumi.ResourceOptions(parent=self),
            child=pulumi.ResourceOptions(retain_on_delete=settings.retain),
        )
        self.register_outputs({})


class Keda(pulumi.ComponentResource):
    """The autoscaler that uses Prometheus.

    Creates, in KEDA's namespace:

    - the operator, which makes a HorizontalPodAutoscaler of each ScaledObject, and the
      adapter, which answers that autoscaler from Prometheus;
    - their ServiceAccount and rights: on Deployments of the models' namespaces, on no
      Secret but their own certificate's;
    - APIService `v1beta1.external.metrics.k8s.io`;
    - NetworkPolicies of both, and a PodDisruptionBudget each where there are several.

    The operator makes their certificates and renews them; there is no webhook.
    """

    def __init__(
        self,
        name: str,
        settings: KedaSettings,
        namespaces: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`namespaces`: where models are."""
        super().__init__("slipway:platform:Keda", name, None, opts)
        self._settings = settings
        before = [
            self._network_policy(
                manifests.OPERATOR,
                ingress=[
                    network.allow_from(
                        network.SAME_NAMESPACE, to=(manifests.OPERATOR_PORT,)
                    )
                ],
                egress=[network.allow_to(on=(settings.prometheus_port,))],
            ),
            self._network_policy(
                manifests.ADAPTER,
                # The API server, which is not a pod, comes in from a node's address.
                ingress=[network.allow_from(to=(manifests.ADAPTER_PORT,))],
                egress=[
                    network.allow_to(
                        network.SAME_NAMESPACE, on=(manifests.OPERATOR_PORT,)
                    )
                ],
            ),
        ]
        everything = manifests.objects(settings, namespaces)
        # The API server sends requests there at once: after what answers them.
        last = [o for o in everything if o["kind"] == "APIService"]
        programs = manifest.Manifest(
            name,
            [o for o in everything if o not in last],
            pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        manifest.Manifest(
            f"{name}-api",
            last,
            pulumi.ResourceOptions(parent=self, depends_on=[programs]),
        )
        if settings.replicas > 1:
            for program in (manifests.OPERATOR, manifests.ADAPTER):
                self._disruption_budget(program)
        self.register_outputs({})

    def _network_policy(
        self, program: str, ingress: list[network.Rule], egress: list[network.Rule]
    ) -> pulumi.Resource:
        monitoring = network.in_namespace(naming.MONITORING_NAMESPACE)
        policy: pulumi.Resource = kubernetes.networking.v1.NetworkPolicy(
            f"{program}-network",
            metadata=self._metadata(program),
            spec=network.policy_spec_both(
                {"matchLabels": {"app": program}},
                ingress=[
                    *ingress,
                    network.allow_from(monitoring, to=(manifests.METRICS_PORT,)),
                ],
                egress=[network.allow_dns(), network.allow_api_server(), *egress],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return policy

    def _disruption_budget(self, program: str) -> None:
        kubernetes.policy.v1.PodDisruptionBudget(
            f"{program}-disruption",
            metadata=self._metadata(program),
            spec=disruption_spec({"app": program}),
            opts=pulumi.ResourceOptions(parent=self),
        )

    @staticmethod
    def _metadata(program: str) -> dict[str, object]:
        return {
            "name": program,
            "namespace": NAMESPACE,
            "labels": naming.labels(program, component="autoscaler"),
        }
