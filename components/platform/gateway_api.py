"""The CRDs of Gateway API and of Envoy Gateway, from one publisher's package."""

from __future__ import annotations

import pulumi

from components.platform import chart, manifest
from components.platform.settings import EnvoyGatewaySettings, GatewayApiSettings


class GatewayApi(pulumi.ComponentResource):
    """The kinds of Gateways and routes.

    Creates:

    - each CustomResourceDefinition of the chart, and the publisher's admission policy
      that refuses unsafe changes of them.

    To delete a CRD deletes all its objects in the whole cluster, so that they stay at
    `destroy` unless `retain` is false; all that uses them goes first.
    """

    def __init__(
        self,
        name: str,
        settings: GatewayApiSettings,
        gateway: EnvoyGatewaySettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:platform:GatewayApi", name, None, opts)
        folder = chart.envoy_gateway_chart(gateway.chart)
        definitions = manifest.Manifest(
            name,
            chart.envoy_gateway_crds(gateway.chart),
            pulumi.ResourceOptions(parent=self),
            child=pulumi.ResourceOptions(retain_on_delete=settings.retain),
        )
        rendered = chart.template(
            folder / "charts" / "crds", release=name, namespace="kube-system", values={}
        )
        manifest.Manifest(
            f"{name}-policy",
            rendered,
            pulumi.ResourceOptions(parent=self, depends_on=[definitions]),
        )
        self.register_outputs({})
