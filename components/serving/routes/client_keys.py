"""API keys that a stack's own encrypted settings hold."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as kubernetes
from pydantic import SecretStr

from components import naming
from components.secret_data import secret_data


class ClientKeys(pulumi.ComponentResource):
    """Keys of the callers of models.

    Creates, in the models' namespace:

    - a Secret of each name: clients and their keys, which are secrets in the state too.
    """

    def __init__(
        self,
        name: str,
        keys: Mapping[str, Mapping[str, SecretStr]],
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create the Secrets; `keys`: by client, by the Secret's name."""
        super().__init__("slipway:serving:ClientKeys", name, None, opts)
        for secret, clients in keys.items():
            kubernetes.core.v1.Secret(
                f"{name}-{secret}",
                metadata={
                    "name": secret,
                    "namespace": namespace,
                    "labels": naming.labels(secret, component="client-keys"),
                },
                type="Opaque",
                data=secret_data(clients),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
