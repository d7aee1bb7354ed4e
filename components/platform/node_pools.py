"""Karpenter's objects of the elastic pools.

The capacity ladder is one requirement of one NodePool, not several NodePools by weight:
Karpenter itself takes reserved before spot before on-demand and goes on to the next
where there is none, and a limit of its own per rung would multiply the pool's.
https://karpenter.sh/docs/concepts/nodepools/#capacity-type
docs/decisions/0013-node-pools.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from components import naming
from components.cluster.iam.subnet_tags import KARPENTER_DISCOVERY
from components.cluster.nodes import amis, node_capacity, pool_nodes, user_data
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.facts import KarpenterFacts
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.pool_reach import most_nodes
from components.platform import manifest

CORE, AWS = "karpenter.sh", "karpenter.k8s.aws"
POLICIES = {"when_empty": "WhenEmpty", "when_underutilized": "WhenEmptyOrUnderutilized"}
ROOT_DEVICE = "/dev/xvda"
"""Root device of AL2023."""
OVERLAY_WEIGHT = 10
CLUSTER_GROUP_TAG = "aws:eks:cluster-name"
"""EKS sets it on the security group that it makes for a cluster.
https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html"""

Object = dict[str, Any]


class NodePools(pulumi.ComponentResource):
    """Pools that Karpenter makes nodes for.

    Creates, for each elastic pool:

    - EC2NodeClass: image release, role, subnets, disks, metadata options;
    - NodePool: types, zones, capacity, limits, taints, disruption;
    - NodeOverlay for each type whose GPUs are shared, since EC2 does not know how many
      slices they give.
    """

    def __init__(
        self,
        name: str,
        pools: Mapping[str, NodePoolBase],
        facts: KarpenterFacts,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`pools`: of any kind; those of other kinds are left out."""
        super().__init__("slipway:platform:NodePools", name, None, opts)
        elastic = {n: p for n, p in pools.items() if isinstance(p, ElasticPool)}
        objects = [o for n, p in elastic.items() for o in rendered(n, p, facts)]
        manifest.Manifest(name, objects, pulumi.ResourceOptions(parent=self))
        self.register_outputs({"pools": list(elastic)})


def rendered(name: str, pool: ElasticPool, facts: KarpenterFacts) -> list[Object]:
    """All objects of one pool; the class first, which the pool names."""
    return [
        node_class(name, pool, facts),
        node_pool(name, pool, facts),
        *overlays(name, pool),
    ]


def node_pool(name: str, pool: ElasticPool, facts: KarpenterFacts) -> Object:
    """Return a NodePool: its nodes, their number, and when they may be removed."""
    wanted = {
        "karpenter.sh/capacity-type": list(pool.capacity),
        "node.kubernetes.io/instance-type": list(pool.instance_types),
        "topology.kubernetes.io/zone": list(pool_nodes.zones(pool, facts.zones)),
        "kubernetes.io/arch": [_arch(pool)],
        "kubernetes.io/os": ["linux"],
    }
    return {
        "apiVersion": f"{CORE}/v1",
        "kind": "NodePool",
        "metadata": _metadata(name),
        "spec": {
            "template": {
                "metadata": {"labels": pool_nodes.labels(name, pool)},
                "spec": {
                    "nodeClassRef": {
                        "group": AWS,
                        "kind": "EC2NodeClass",
                        "name": name,
                    },
                    "requirements": [
                        {"key": key, "operator": "In", "values": values}
                        for key, values in wanted.items()
                    ],
                    "taints": [
                        {"key": t.key, "value": t.value, "effect": t.effect}
                        if t.value
                        else {"key": t.key, "effect": t.effect}
                        for t in pool_nodes.taints(pool)
                    ],
                    "expireAfter": f"{pool.expire_after_hours}h",
                    "terminationGracePeriod": f"{pool.termination_grace_seconds}s",
                },
            },
            "disruption": _disruption(pool),
            "limits": limits(pool),
        },
    }


def limits(pool: ElasticPool) -> dict[str, str]:
    """The pool's bound in every resource that Karpenter counts.

    Karpenter launches only what fits into all of them, so that CPU and memory are those
    of the type that needs most for the same bound: GPUs, or nodes, decide.
    """
    types = pool_nodes.types(pool)
    nodes = {t.name: most_nodes(pool, t.name) for t in types}
    found = {
        "cpu": str(max(t.vcpus * nodes[t.name] for t in types)),
        "memory": f"{max(t.memory * nodes[t.name] for t in types)}Mi",
    }
    resource = pool_nodes.resource(pool)
    if resource is None:
        return {**found, "nodes": str(pool.max_nodes)}
    most = max(pool_nodes.resource_count(pool, t) * nodes[t.name] for t in types)
    return {**found, resource: str(most)}


def _disruption(pool: ElasticPool) -> Object:
    """A node whose pods came less than the wait ago is left alone: models load.

    Replicas that are not ready keep others from being evicted by their budgets. Empty
    nodes may all go at once; of the others one, since each move loads models anew.
    """
    policy = pool.consolidation or (
        "when_empty" if pool_nodes.resource(pool) else "when_underutilized"
    )
    return {
        "consolidationPolicy": POLICIES[policy],
        "consolidateAfter": f"{pool.settle_seconds}s",
        "budgets": [
            {"nodes": "100%", "reasons": ["Empty"]},
            {"nodes": "1", "reasons": ["Underutilized", "Drifted"]},
        ],
    }


def node_class(name: str, pool: ElasticPool, facts: KarpenterFacts) -> Object:
    """Return an EC2NodeClass: how its instances are launched."""
    discovery = [{"tags": {KARPENTER_DISCOVERY: facts.cluster_name}}]
    spec: Object = {
        "amiFamily": "AL2023",
        # A release, not `latest`: nodes change when the lock does.
        "amiSelectorTerms": [{"alias": amis.lock().alias}],
        **_identity(facts),
        "subnetSelectorTerms": discovery,
        "securityGroupSelectorTerms": [
            {"tags": {CLUSTER_GROUP_TAG: facts.cluster_name}}
        ],
        "associatePublicIPAddress": False,
        # One hop: what runs in a pod's own network does not get at the node's role.
        "metadataOptions": {
            "httpEndpoint": "enabled",
            "httpProtocolIPv6": "disabled",
            "httpPutResponseHopLimit": 1,
            "httpTokens": "required",
        },
        "blockDeviceMappings": [
            {
                "deviceName": ROOT_DEVICE,
                "rootVolume": True,
                "ebs": {
                    "volumeSize": f"{pool.disk_gib}Gi",
                    "volumeType": "gp3",
                    "encrypted": True,
                    "deleteOnTermination": True,
                },
            }
        ],
        "detailedMonitoring": True,
        "kubelet": {"maxPods": pool_nodes.max_pods(pool)},
        "tags": {**facts.tags, "Name": f"{facts.cluster_name}-{name}"},
    }
    if any(node_capacity.nvme_gib(t) for t in pool_nodes.types(pool)):
        spec["instanceStorePolicy"] = "RAID0"
    if pool.reservations:
        spec["capacityReservationSelectorTerms"] = [
            {"id": reservation} for reservation in pool.reservations
        ]
    if scripts := user_data.scripts(pool):
        spec["userData"] = user_data.multipart(scripts)
    return {
        "apiVersion": f"{AWS}/v1",
        "kind": "EC2NodeClass",
        "metadata": _metadata(name),
        "spec": spec,
    }


def _identity(facts: KarpenterFacts) -> Object:
    """The stack's instance profile, or the role for which Karpenter makes one."""
    if facts.instance_profile:
        return {"instanceProfile": facts.instance_profile}
    return {"role": facts.node_role_name}


def overlays(name: str, pool: ElasticPool) -> list[Object]:
    """How many slices or turns a new node will have, and that it has no whole GPU.

    Without them Karpenter would never start a node for a pod that asks for a slice.
    Needs Karpenter's feature gate NodeOverlay.
    """
    if pool.gpu.mode == "whole":
        return []
    found: list[Object] = []
    for t in pool_nodes.types(pool):
        requirements = {
            "karpenter.sh/nodepool": name,
            "node.kubernetes.io/instance-type": t.name,
        }
        found.append(
            {
                "apiVersion": f"{CORE}/v1alpha1",
                "kind": "NodeOverlay",
                "metadata": _metadata(f"{name}-{t.name.replace('.', '-')}"),
                "spec": {
                    "weight": OVERLAY_WEIGHT,
                    "requirements": [
                        {"key": key, "operator": "In", "values": [value]}
                        for key, value in requirements.items()
                    ],
                    "capacity": {
                        "nvidia.com/gpu": "0",
                        pool.gpu.resource(): str(pool_nodes.resource_count(pool, t)),
                    },
                },
            }
        )
    return found


def _arch(pool: NodePoolBase) -> str:
    """Kubernetes' word for the architecture."""
    words = {"x86_64": "amd64", "arm64": "arm64"}
    return words[pool_nodes.types(pool)[0].architecture]


def _metadata(name: str) -> Object:
    labels = naming.labels(naming.KARPENTER, instance=name, component="node-pool")
    return {"name": name, "labels": labels}
