"""The StorageClass that volumes get unless they ask for another: encrypted gp3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pulumi
import pulumi_kubernetes as kubernetes
from pydantic import Field

from components import naming
from components.setting_types import DnsSubdomain, Whole
from components.settings import Settings

PROVISIONER = "ebs.csi.aws.com"
"""The EKS add-on aws-ebs-csi-driver."""
DEFAULT = "storageclass.kubernetes.io/is-default-class"


class StorageClassSettings(Settings):
    """A class of volumes on EBS; off by default, as it needs EKS."""

    enabled: bool = False
    """True on EKS, which has no default class with encryption."""
    name: DnsSubdomain = "gp3"
    """Name of the StorageClass."""
    throughput_mib: Annotated[Whole, Field(ge=125, le=1000)] = 125
    """Throughput of a volume in MiB/s; above 125 it costs more."""


class StorageClass(pulumi.ComponentResource):
    """Volumes on EBS.

    Creates:

    - StorageClass, the default one: gp3, encrypted, made in the zone of the first pod
      that mounts it, deleted with its claim; each volume has the given tags.
    """

    def __init__(
        self,
        name: str,
        settings: StorageClassSettings,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:platform:StorageClass", name, None, opts)
        # Numbered, as the driver wants them:
        # https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md
        numbered = {
            f"tagSpecification_{number}": f"{key}={value}"
            for number, (key, value) in enumerate(sorted(tags.items()), start=1)
        }
        kubernetes.storage.v1.StorageClass(
            name,
            metadata={
                "name": settings.name,
                "labels": naming.labels(settings.name, component="storage"),
                "annotations": {DEFAULT: "true"},
            },
            provisioner=PROVISIONER,
            parameters={
                "type": "gp3",
                "encrypted": "true",
                "throughput": str(settings.throughput_mib),
                "csi.storage.k8s.io/fstype": "ext4",
                **numbered,
            },
            reclaim_policy="Delete",
            # A volume lives in one zone: the pod's, which is not known before.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
