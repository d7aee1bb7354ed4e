"""Resources that DaemonSets request on every node.

These are the published minimums: an add-on's configuration may request more, and a team
may run further DaemonSets. Facts as of 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.catalog import InstanceType


@dataclass(frozen=True)
class Daemon:
    """The requests of a DaemonSet's pod."""

    name: str
    cpu_millicores: int
    memory_mib: int = 0


ADDONS = (
    # https://github.com/aws/amazon-vpc-cni-k8s/blob/master/charts/aws-vpc-cni/values.yaml
    Daemon("aws-node", 25),
    # The add-on's manifest.
    # https://docs.aws.amazon.com/eks/latest/userguide/managing-kube-proxy.html
    Daemon("kube-proxy", 100),
    # Three containers: driver, registrar and liveness probe.
    # https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/charts/aws-ebs-csi-driver/values.yaml
    Daemon("ebs-csi-node", 30, 120),
    # https://github.com/aws/eks-node-monitoring-agent/blob/main/charts/eks-node-monitoring-agent/values.yaml
    Daemon("eks-node-monitoring-agent", 10, 30),
)
"""On the nodes of every pool."""
GPU_SOFTWARE = (
    Daemon("nvidia-device-plugin", 20, 64),
    Daemon("dcgm-exporter", 50, 256),
)
"""On nodes with GPUs, by components/platform/gpu; a test compares."""


def daemons(t: InstanceType) -> tuple[Daemon, ...]:
    """Those that run on a node of the type."""
    return (*ADDONS, *GPU_SOFTWARE) if t.gpu else ADDONS


def cpu_millicores(t: InstanceType) -> int:
    """What they request together."""
    return sum(daemon.cpu_millicores for daemon in daemons(t))


def memory_mib(t: InstanceType) -> int:
    """What they request together."""
    return sum(daemon.memory_mib for daemon in daemons(t))
