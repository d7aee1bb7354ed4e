"""A program on every GPU node: what both of ours have in common.

It talks to the driver and to the kubelet by paths of the host that only root may use,
so that it cannot meet the Pod Security Standard `restricted`; all else of that stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.platform.gpu.layouts import GPU
from components.security import pod_defaults
from components.workload import Workload

NAMESPACE = naming.GPU_NAMESPACE
PRIORITY = "system-node-critical"
"""Without it, a node's GPUs cannot be used or monitored."""

Object = dict[str, Any]


def tolerations(pools: Mapping[str, NodePoolBase]) -> list[Object]:
    """The taints of GPU nodes and the pools' own, each once."""
    found: list[Object] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    for pool in pools.values():
        for taint in pool.taints:
            one = {"key": taint.key, "operator": "Exists", "effect": taint.effect}
            if one not in found:
                found.append(one)
    return found


def affinity(pools: Sequence[str]) -> Object:
    """The nodes of these pools and no others."""
    expression = {
        "key": naming.POOL_LABEL,
        "operator": "In",
        "values": sorted(pools),
    }
    terms = [{"matchExpressions": [expression]}]
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return {"nodeAffinity": {required: {"nodeSelectorTerms": terms}}}


class GpuDaemon(Workload):
    """A DaemonSet on the nodes of some GPU pools; subclasses say of what."""

    def add_daemon_set(
        self,
        container: Object,
        volumes: Sequence[Object],
        pools: Mapping[str, NodePoolBase],
        *,
        configuration: str,
        annotations: Mapping[str, str] | None = None,
    ) -> kubernetes.apps.v1.DaemonSet:
        """Restarted with its configuration; a tenth of the nodes at a time."""
        digest = hashlib.sha256(configuration.encode()).hexdigest()[:16]
        template = self.pod_metadata(
            **{"slipway.dev/config": digest, **(annotations or {})}
        )
        return kubernetes.apps.v1.DaemonSet(
            f"{self.name}-daemon-set",
            metadata=self.metadata(),
            spec={
                "selector": {"matchLabels": self.selector},
                "updateStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": "10%"},
                },
                "template": {
                    "metadata": template,
                    "spec": {
                        "serviceAccountName": self.name,
                        "automountServiceAccountToken": False,
                        "enableServiceLinks": False,
                        "priorityClassName": PRIORITY,
                        "securityContext": pod_defaults.node_pod_security_context(),
                        "affinity": affinity(list(pools)),
                        "tolerations": tolerations(pools),
                        "containers": [container],
                        "volumes": list(volumes),
                    },
                },
            },
            opts=self.options(),
        )


def host_folder(name: str, path: str) -> Object:
    """A volume: a folder of the host that is there already."""
    return {"name": name, "hostPath": {"path": path, "type": "Directory"}}


class GpuNamespace(pulumi.ComponentResource):
    """The namespace of the programs on GPU nodes.

    Creates:

    - Namespace `slipway-gpu` with Pod Security `privileged`: host paths are refused by
      every other level; who may make pods in it may take over GPU nodes;
    - NetworkPolicy `default-deny` for all its pods, both ways.
    """

    def __init__(
        self, name: str, version: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:platform/gpu:GpuNamespace", name, None, opts)
        labels = naming.labels(NAMESPACE, component="gpu")
        levels = {
            f"pod-security.kubernetes.io/{mode}{suffix}": value
            for mode in ("enforce", "audit", "warn")
            for suffix, value in (("", "privileged"), ("-version", version))
        }
        namespace = kubernetes.core.v1.Namespace(
            NAMESPACE,
            metadata={"name": NAMESPACE, "labels": {**labels, **levels}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        kubernetes.networking.v1.NetworkPolicy(
            f"{NAMESPACE}-default-deny",
            metadata={
                "name": "default-deny",
                "namespace": NAMESPACE,
                "labels": labels,
            },
            spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
            opts=pulumi.ResourceOptions(parent=namespace),
        )
        self.register_outputs({})
