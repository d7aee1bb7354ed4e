"""Volumes that a stack's jobs share: created once, kept when the stack is destroyed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.training.volume_settings import Claim


class Claims(pulumi.ComponentResource):
    """PersistentVolumeClaims for checkpoints and results.

    Creates, in the jobs' namespace, each claim that has a size. A destroy leaves them,
    and the next `up` takes them over by the stack's label.
    """

    def __init__(
        self,
        name: str,
        claims: Mapping[str, Claim],
        *,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:training:Claims", name, None, opts)
        for claim, settings in claims.items():
            kubernetes.core.v1.PersistentVolumeClaim(
                f"{claim}-claim",
                metadata={
                    "name": claim,
                    "namespace": namespace,
                    "labels": naming.labels(claim, component="training"),
                    # A class may bind at the first pod, which is a run's.
                    "annotations": naming.SKIP_AWAIT,
                },
                spec=_spec(settings),
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
        self.register_outputs({})


def _spec(settings: Claim) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": [settings.access_mode],
        "resources": {"requests": {"storage": f"{settings.size_gib}Gi"}},
    }
    if settings.storage_class:
        spec["storageClassName"] = settings.storage_class
    return spec
