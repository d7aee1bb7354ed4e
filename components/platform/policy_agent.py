"""NetworkPolicies enforced by nftables, where the cluster's network does not."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import images, naming
from components.platform.policy_agent_settings import PolicyAgentSettings
from components.security import api_access, pod_defaults
from components.workload import Workload, http_probe

NAMESPACE = "kube-system"
"""Pod Security has no level below `privileged` for pods on the hosts' network; who may
make pods in kube-system has every node already."""
PORT = naming.POLICY_AGENT_PORT
SIMULATED_NODE = "kwok.x-k8s.io/node"
"""Label of nodes that kwok simulates, as in the lab's tests of node autoscaling:
nothing runs there, and the agent's pods would count as load."""
PRIORITY = "system-node-critical"
"""Without the agent, a node's remaining rules block its new pods."""


class PolicyAgent(Workload):
    """The agent of every node.

    Creates, in kube-system:

    - ServiceAccount and its rights: follow pods, namespaces and NetworkPolicies; see
      whether the DaemonSet is still there, since the rules go with it;
    - DaemonSet on the hosts' network: root with the capability NET_ADMIN alone, scraped
      by its annotations.

    No NetworkPolicy: it would bind no pod on the hosts' network.
    """

    def __init__(
        self,
        name: str,
        settings: PolicyAgentSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:platform:PolicyAgent",
            name,
            namespace=NAMESPACE,
            component="network",
            opts=opts,
        )
        self.add_account()
        read = ["get", "list", "watch"]
        self.add_cluster_role(
            "slipway:policy-agent",
            [
                {"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": read},
                {
                    "apiGroups": ["networking.k8s.io"],
                    "resources": ["networkpolicies"],
                    "verbs": read,
                },
            ],
        )
        self.add_role(
            [
                {
                    "apiGroups": ["apps"],
                    "resources": ["daemonsets"],
                    "resourceNames": [self.name],
                    "verbs": ["get"],
                }
            ]
        )
        self._add_daemon_set(settings)
        self.register_outputs({})

    def _add_daemon_set(self, settings: PolicyAgentSettings) -> None:
        kubernetes.apps.v1.DaemonSet(
            f"{self.name}-daemon-set",
            metadata=self.metadata(),
            spec={
                "selector": {"matchLabels": self.selector},
                "updateStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": "10%"},
                },
                "template": {
                    "metadata": self.pod_metadata(**naming.scrape_annotations(PORT)),
                    "spec": {
                        "serviceAccountName": self.name,
                        "automountServiceAccountToken": False,
                        "enableServiceLinks": False,
                        "priorityClassName": PRIORITY,
                        "hostNetwork": True,
                        "dnsPolicy": "Default",
                        "terminationGracePeriodSeconds": 15,
                        "nodeSelector": {"kubernetes.io/os": "linux"},
                        "affinity": _without(SIMULATED_NODE),
                        # A node that it does not run on enforces nothing.
                        "tolerations": [{"operator": "Exists"}],
                        "securityContext": pod_defaults.node_pod_security_context(),
                        "containers": [self._container(settings)],
                        "volumes": [api_access.volume()],
                    },
                },
            },
            opts=self.options(),
        )

    def _container(self, settings: PolicyAgentSettings) -> dict[str, Any]:
        owner = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{self.name}"
        return {
            "name": self.name,
            "image": settings.image_reference,
            "imagePullPolicy": images.pull_policy(settings.image_reference),
            "env": [
                _field("NODE_NAME", "spec.nodeName"),
                _field("NODE_ADDRESS", "status.hostIP"),
                {"name": "POLICY_AGENT_INTERFACES", "value": settings.pod_interfaces},
                {"name": "POLICY_AGENT_OWNER", "value": owner},
                {"name": "POLICY_AGENT_PORT", "value": str(PORT)},
            ],
            "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            "securityContext": pod_defaults.node_security_context("NET_ADMIN"),
            "resources": {
                "requests": {"cpu": "20m", "memory": "48Mi", **pod_defaults.disk()},
                "limits": {"cpu": "500m", "memory": "256Mi", **pod_defaults.disk()},
            },
            "readinessProbe": http_probe("/readyz", "http", seconds=2),
            "livenessProbe": http_probe("/livez", "http", seconds=10, failures=6),
            "volumeMounts": [api_access.mount()],
        }


def _without(label: str) -> dict[str, Any]:
    """Nodes that do not have the label."""
    terms = [{"matchExpressions": [{"key": label, "operator": "DoesNotExist"}]}]
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return {"nodeAffinity": {required: {"nodeSelectorTerms": terms}}}


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
