"""All that the nodes of GPU pools run besides models."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.cluster.nodes.node_pool_base import NodePoolBase
from components.platform.gpu.daemon import GpuNamespace
from components.platform.gpu.dcgm_exporter import DcgmExporter
from components.platform.gpu.device_plugin import DevicePlugin
from components.platform.gpu.layouts import node_groups
from components.platform.gpu.settings import GpuSettings


class GpuSoftware(pulumi.ComponentResource):
    """Device plugin and metrics of the GPU pools.

    Creates, unless the settings leave both out:

    - GpuNamespace;
    - a DevicePlugin for each layout of GPUs that the pools have;
    - DcgmExporter.
    """

    def __init__(
        self,
        name: str,
        settings: GpuSettings,
        pools: Mapping[str, NodePoolBase],
        *,
        pod_security_version: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`pools`: those with GPUs of NVIDIA's."""
        super().__init__("slipway:platform/gpu:GpuSoftware", name, None, opts)
        namespace = GpuNamespace(
            f"{name}-namespace",
            pod_security_version,
            pulumi.ResourceOptions(parent=self),
        )
        child = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        if settings.device_plugin.enabled:
            for group in node_groups(pools):
                DevicePlugin(settings.device_plugin, group, pools, child)
        if settings.dcgm_exporter.enabled:
            DcgmExporter(settings.dcgm_exporter, pools, child)
        self.register_outputs({})
