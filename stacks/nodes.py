"""The part of the layer `platform` that makes nodes and readies those with GPUs."""

from __future__ import annotations

from components.cluster.settings import ClusterSettings
from components.platform import nodes
from components.platform.gpu.software import GpuSoftware
from components.platform.karpenter import Karpenter, KarpenterDefinitions
from components.platform.node_pools import NodePools
from components.platform.nodes import Nodes
from components.platform.settings import PlatformSettings
from components.platform.storage_class import StorageClass
from components.settings import SettingsError
from stacks import config, files
from stacks.place import Place


def known(settings: PlatformSettings, stack: str) -> Nodes:
    """The cluster's pools: its own stack's settings, or the platform's.

    `stack`: the running one.
    """
    if other := settings.cluster.stack:
        cluster = config.of_other_stack(other, ClusterSettings, stack)
        found = nodes.of_stack(cluster)
    else:
        found = nodes.of_platform(settings)
    if problems := list(nodes.problems(settings, found)):
        raise SettingsError(files.name(stack), problems)
    return found


def add(settings: PlatformSettings, found: Nodes, place: Place) -> None:
    """Add the parts that need the cloud: volumes, nodes on demand, GPUs."""
    if settings.storage_class.enabled:
        StorageClass("storage-class", settings.storage_class, found.tags, place.options)
    if settings.karpenter.enabled and found.karpenter:
        # CRDs, controller, pools: removed the other way round, nodes first.
        chosen = settings.karpenter
        definitions = KarpenterDefinitions("karpenter-crds", chosen, place.options)
        place = place.then(definitions)
        controller = Karpenter(
            "karpenter",
            chosen,
            cluster=found.karpenter.cluster_name,
            interruption_queue=found.interruption_queue,
            overlays=found.shares_gpus,
            isolated=found.karpenter.isolated,
            opts=place.options,
        )
        place = place.then(controller)
        NodePools("node-pools", found.elastic, found.karpenter, place.options)
    if settings.gpu.device_plugin.enabled or settings.gpu.dcgm_exporter.enabled:
        GpuSoftware(
            "gpu",
            settings.gpu,
            found.with_gpus,
            pod_security_version=settings.namespaces.pod_security_version,
            opts=place.options,
        )
