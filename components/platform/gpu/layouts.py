"""Groups nodes with the same device plugin configuration: those of one GPU layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components import catalog
from components.cluster.nodes.gpu_layout import GpuLayout
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.yaml_text import written

NVIDIA = "NVIDIA"
GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class NodeGroup:
    """Pools of NVIDIA GPUs that are handed out in the same way."""

    suffix: str
    """Suffix of the group's objects; empty for whole GPUs."""
    mode: str
    replicas: int | None
    """Pods that share a GPU, with mode time_slicing."""
    pools: tuple[str, ...]
    """Names of the pools."""

    @property
    def mig(self) -> bool:
        """Return whether the GPUs are cut into slices."""
        return self.mode == "mig"

    def configuration(self) -> str:
        """The device plugin's configuration file (YAML).

        https://github.com/NVIDIA/k8s-device-plugin#configuration-option-details
        """
        content: dict[str, Any] = {
            "version": "v1",
            "flags": {
                # `mixed`: each slice is a resource named by its profile.
                "migStrategy": "mixed" if self.mig else "none",
                # A node whose driver does not answer must not look well.
                "failOnInitError": True,
                "plugin": {
                    "deviceListStrategy": ["envvar"],
                    "deviceIDStrategy": "uuid",
                },
            },
        }
        if self.replicas:
            content["sharing"] = {
                "timeSlicing": {
                    # nvidia.com/gpu.shared: no pod gets a share that meant a GPU.
                    "renameByDefault": True,
                    # A request for two shares gives no more than one would.
                    "failRequestsGreaterThanOne": True,
                    "resources": [{"name": GPU, "replicas": self.replicas}],
                }
            }
        return written(content, sort_keys=True)


def has_nvidia(pool: NodePoolBase) -> bool:
    """Return whether the pool's nodes have NVIDIA GPUs."""
    gpus = [catalog.instance_type(name).gpu for name in pool.instance_types]
    return any(gpu and gpu.manufacturer == NVIDIA for gpu in gpus)


def node_groups(pools: Mapping[str, NodePoolBase]) -> tuple[NodeGroup, ...]:
    """The pools with GPUs of NVIDIA's by how these are handed out."""
    found: dict[tuple[str, str, int | None], list[str]] = {}
    for name, pool in sorted(pools.items()):
        if has_nvidia(pool):
            found.setdefault(_key(pool.gpu), []).append(name)
    return tuple(
        NodeGroup(suffix, mode, replicas, tuple(names))
        for (suffix, mode, replicas), names in sorted(found.items(), key=str)
    )


def _key(layout: GpuLayout) -> tuple[str, str, int | None]:
    suffixes = {
        "whole": "",
        "mig": "-mig",
        "time_slicing": f"-shared-{layout.replicas}",
    }
    replicas = layout.replicas if layout.mode == "time_slicing" else None
    return suffixes[layout.mode], layout.mode, replicas
