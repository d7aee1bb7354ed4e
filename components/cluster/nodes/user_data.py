"""What a node of AL2023 reads at its first boot: nodeadm's NodeConfig, and scripts.

EKS and Karpenter add the cluster's name, endpoint and CA, labels and taints to what is
here; later parts of the same setting win.
https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/doc/examples.md
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from components import catalog
from components.cluster.nodes import mig_boot, node_capacity, pool_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.yaml_text import written

BOUNDARY = "slipway"
RESERVED_EPHEMERAL = "1Gi"
"""Same as nodeadm's default."""

Document = dict[str, Any]


def managed(pool: NodePoolBase) -> str:
    """For the launch template of a managed node group."""
    return multipart([_node_config(pool), *scripts(pool)])


def scripts(pool: NodePoolBase) -> list[tuple[str, str]]:
    """Return scripts that run before the kubelet starts, as parts of a document."""
    if pool.gpu.mode != "mig":
        return []
    return [("text/x-shellscript", _mig_script(pool))]


def multipart(parts: Iterable[tuple[str, str]]) -> str:
    """Content types and contents as one MIME document, as cloud-init reads it."""
    lines = [
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{BOUNDARY}"',
        "",
    ]
    for kind, content in parts:
        lines += [f"--{BOUNDARY}", f'Content-Type: {kind}; charset="us-ascii"', ""]
        lines += [content.rstrip("\n"), ""]
    return "\n".join([*lines, f"--{BOUNDARY}--", ""])


def _node_config(pool: NodePoolBase) -> tuple[str, str]:
    spec: Document = {
        "kubelet": {
            "config": {
                "maxPods": pool_nodes.max_pods(pool),
                "kubeReserved": kube_reserved(pool),
            }
        }
    }
    if any(node_capacity.nvme_gib(t) for t in pool_nodes.types(pool)):
        # Images, pods' files and logs lie on it; it is lost with the instance.
        spec["instance"] = {"localStorage": {"strategy": "RAID0"}}
    config = {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": spec}
    return "application/node.eks.aws", written(config)


def kube_reserved(pool: NodePoolBase) -> dict[str, str]:
    """The kubelet's reservations; nodeadm would calculate them from its own maxPods.

    Of several types, those of the largest apply to all: they share one document.
    """
    vcpus = max(t.vcpus for t in pool_nodes.types(pool))
    memory = node_capacity.reserved_memory_mib(pool_nodes.max_pods(pool))
    return {
        "cpu": f"{node_capacity.reserved_cpu_millicores(vcpus)}m",
        "memory": f"{memory}Mi",
        "ephemeral-storage": RESERVED_EPHEMERAL,
    }


def _mig_script(pool: NodePoolBase) -> str:
    """Has every GPU cut into the layout's slices, at this boot and at each later one.

    nodeadm starts the kubelet after cloud-init's scripts.
    """
    profile = str(pool.gpu.mig_profile)
    gpu = pool_nodes.types(pool)[0].gpu
    if gpu is None:
        raise ValueError("MIG without GPUs, which the settings refuse")
    known = {p.name: p for p in catalog.accelerator(gpu.model).mig_profiles}
    return mig_boot.script(profile, known[profile].instances)
