"""Settings of the software on GPU nodes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.part_settings import PartSettings
from components.setting_types import Whole
from components.settings import Settings


class DevicePluginSettings(PartSettings):
    """NVIDIA's device plugin: offers a node's GPUs to pods as its pool says."""

    enabled: bool = False
    """True if nodes have GPUs and their image has no device plugin."""
    image: str = "nvidia-device-plugin"
    """NVIDIA's k8s-device-plugin, 0.17 or newer. A short name of images.lock, or by
    digest."""


class DcgmExporterSettings(PartSettings):
    """NVIDIA's DCGM exporter: use, memory, temperature and errors of each GPU."""

    enabled: bool = False
    """True where nodes have GPUs."""
    image: str = "dcgm-exporter"
    """NVIDIA's dcgm-exporter, 4 or newer. A short name of images.lock, or by digest."""
    interval_seconds: Annotated[Whole, Field(ge=1, le=300)] = 15
    """How often GPUs are asked."""
    profiling: bool = False
    """Adds the share of time in which units of the GPU are active, the only utilization
    metric of MIG slices. It needs the capability SYS_ADMIN, and no profiler can run at
    the same time."""


class GpuSettings(Settings):
    """Software on GPU nodes."""

    device_plugin: DevicePluginSettings = Field(default={}, validate_default=True)
    """Offers GPUs to pods."""
    dcgm_exporter: DcgmExporterSettings = Field(default={}, validate_default=True)
    """Metrics of GPUs."""
