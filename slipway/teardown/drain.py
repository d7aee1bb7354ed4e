"""Let the cluster's own controllers delete what they created, while they still run.

The engine does not know Karpenter's nodes, load balancers and volumes: if the cluster
is deleted before them, they keep running and its VPC cannot be deleted.
"""

from __future__ import annotations

from collections.abc import Iterable

from slipway.cluster.kube_api import KubeApi, Object
from slipway.waiting import Waiting

NODE_POOLS = "/apis/karpenter.sh/v1/nodepools"
NODE_CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
NODE_CLASSES = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1/gateways"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
SERVICES = "/api/v1/services"
NODES, PODS = "/api/v1/nodes", "/api/v1/pods"
CLAIMS, VOLUMES = "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"

BALANCER_SECONDS, VOLUME_SECONDS = 300.0, 300.0
NODE_SECONDS, CLASS_SECONDS = 900.0, 120.0
"""Bounds of the waits. Karpenter evicts pods, which their disruption budgets and a
model's grace period may hold up."""


class Drain:
    """Empties one cluster; all of it may be done again at any time."""

    def __init__(self, api: KubeApi, waiting: Waiting) -> None:
        self._api, self._waiting = api, waiting

    def run(self) -> list[str]:
        """What is left after bounded waits; empty if all is gone.

        Pools go first, so that no node is launched for pods that lose theirs; volumes
        before nodes are waited for, since a volume is detached by its node.
        """
        self._delete_all(NODE_POOLS, "NodePools")
        return [
            *self._load_balancers(),
            *self._volumes(),
            *self._nodes(),
        ]

    def _load_balancers(self) -> list[str]:
        # A Service that a controller made for a Gateway would be made again.
        self._delete_all(GATEWAYS, "Gateways")
        self._delete_all(INGRESSES, "Ingresses")

        def remaining() -> list[str]:
            found = [
                service
                for service in self._api.items(SERVICES)
                if service["spec"].get("type") == "LoadBalancer"
            ]
            self._delete(SERVICES, found)
            return [f"Service {_name(service)}" for service in found]

        return self._waiting.until_gone("load balancers", remaining, BALANCER_SECONDS)

    def _volumes(self) -> list[str]:
        if not self._dynamic():
            return []
        for node in self._api.items(NODES):
            # Else a pod that loses its volume would come back with a new one.
            path = f"{NODES}/{node['metadata']['name']}"
            self._api.patch(path, {"spec": {"unschedulable": True}})

        def remaining() -> list[str]:
            found = self._dynamic()
            claims = {
                (ref["namespace"], ref["name"])
                for volume in found
                if (ref := volume["spec"].get("claimRef"))
            }
            for namespace, name in sorted(claims):
                self._api.delete(_path(CLAIMS, namespace, name))
            for pod in self._api.items(PODS) if claims else ():
                if claims & set(_claims(pod)):
                    self._delete(PODS, [pod])
            return [f"PersistentVolume {_name(volume)}" for volume in found]

        return self._waiting.until_gone("volumes", remaining, VOLUME_SECONDS)

    def _dynamic(self) -> list[Object]:
        """Volumes that a driver made and takes away with their claims."""
        return [
            volume
            for volume in self._api.items(VOLUMES)
            if PROVISIONED_BY in (volume["metadata"].get("annotations") or {})
            and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        ]

    def _nodes(self) -> list[str]:
        def remaining() -> list[str]:
            found = self._api.items(NODE_CLAIMS)
            self._delete(NODE_CLAIMS, found)
            return [f"NodeClaim {_name(claim)}" for claim in found]

        left = self._waiting.until_gone("Karpenter nodes", remaining, NODE_SECONDS)
        if left:
            return left
        # A class that made its own instance profile would keep the nodes' role.
        self._delete_all(NODE_CLASSES, "EC2NodeClasses")
        return self._waiting.until_gone(
            "node classes",
            lambda: [f"EC2NodeClass {_name(c)}" for c in self._api.items(NODE_CLASSES)],
            CLASS_SECONDS,
        )

    def _delete_all(self, path: str, what: str) -> None:
        found = self._api.items(path)
        if found:
            self._waiting.say(f"deleting {len(found)} {what}")
        self._delete(path, found)

    def _delete(self, path: str, objects: Iterable[Object]) -> None:
        for one in objects:
            meta = one["metadata"]
            if not meta.get("deletionTimestamp"):
                self._api.delete(_path(path, meta.get("namespace"), meta["name"]))


def _path(plural: str, namespace: str | None, name: str) -> str:
    """An object's path, out of the path of its kind."""
    if namespace is None:
        return f"{plural}/{name}"
    group, _, kind = plural.rpartition("/")
    return f"{group}/namespaces/{namespace}/{kind}/{name}"


def _name(one: Object) -> str:
    meta = one["metadata"]
    return (
        f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else meta["name"]
    )


def _claims(pod: Object) -> list[tuple[str, str]]:
    return [
        (pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"])
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    ]
