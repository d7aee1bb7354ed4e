"""EKS add-ons at pinned versions, with their settings and the rights they need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.cluster import addon_checks
from components.cluster.eks_settings import AddonName, EksSettings
from components.cluster.iam import policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.identity import PodIdentity
from components.cluster.iam.tags import CLUSTER_TAG, tags

NAMESPACE = "kube-system"
Stage = Literal["before_nodes", "after_nodes"]
STAGES: Mapping[Stage, tuple[AddonName, ...]] = {
    # Nodes are not Ready without the network add-on, which gets its role from the
    # agent.
    "before_nodes": ("eks-pod-identity-agent", "vpc-cni", "kube-proxy"),
    # Deployments: without a node to run on, they become DEGRADED.
    "after_nodes": ("coredns", "aws-ebs-csi-driver", "eks-node-monitoring-agent"),
}
SERVICE_ACCOUNTS: Mapping[AddonName, str] = {
    "vpc-cni": "aws-node",
    "aws-ebs-csi-driver": "ebs-csi-controller-sa",
}
"""Of the add-ons that call AWS; the others have no role.
https://docs.aws.amazon.com/eks/latest/userguide/add-ons-iam.html"""


class Addons(pulumi.ComponentResource):
    """The add-ons of one stage.

    Creates, for each add-on:

    - the add-on at the pinned version (addon_versions.yaml) or the settings' own; what
      was changed by hand in its objects is put back at the next update;
    - a pod identity with the least rights, if it calls AWS.

    Stage `before_nodes`: pod identity agent, vpc-cni with network policy and prefix
    delegation, kube-proxy. Stage `after_nodes`: coredns, the EBS driver, the node
    monitoring agent; `after` is then the system pool.
    """

    def __init__(
        self,
        name: str,
        settings: EksSettings,
        stage: Stage,
        *,
        arns: Arns,
        vpc_id: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:cluster:Addons", name, None, opts)
        self.settings = settings
        self._arns = arns
        made: list[pulumi.Resource] = []
        for addon in STAGES[stage]:
            needed = [*after, *made[:1]] if addon in SERVICE_ACCOUNTS else [*after]
            if addon in SERVICE_ACCOUNTS:
                identity = self._identity(name, addon, vpc_id, after)
                needed.append(identity.association)
            made.append(self._addon(name, addon, needed))
        self.addons: Sequence[pulumi.Resource] = tuple(made)
        """The add-ons, for `depends_on` of nodes or workloads that need them."""
        self.register_outputs({})

    def _addon(
        self,
        prefix: str,
        addon: AddonName,
        after: Sequence[pulumi.Resource],
    ) -> aws.eks.Addon:
        settings = self.settings
        given = settings.addons.get(addon)
        version = settings.addon_version(addon)
        values = merged(
            _configuration(addon, settings), given.configuration if given else {}
        )
        return aws.eks.Addon(
            f"{prefix}-{addon}",
            cluster_name=settings.name,
            addon_name=addon,
            addon_version=version,
            configuration_values=json.dumps(values, sort_keys=True),
            # The add-on has no objects yet, or only those of an interrupted run.
            resolve_conflicts_on_create="OVERWRITE",
            # The program's values take precedence over manual changes.
            resolve_conflicts_on_update="OVERWRITE",
            preserve=False,
            tags=tags(settings.name, f"{settings.name}-{addon}"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _identity(
        self,
        prefix: str,
        addon: AddonName,
        vpc_id: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
    ) -> PodIdentity:
        cluster = self.settings.name
        arns = self._arns
        policy: pulumi.Input[str] = policies.ebs_csi(arns, cluster).json()
        if addon == "vpc-cni":
            policy = pulumi.Output.from_input(vpc_id).apply(
                lambda vpc: policies.vpc_cni(arns, cluster, vpc).json()
            )
        return PodIdentity(
            f"{prefix}-{addon}",
            arns=arns,
            cluster=cluster,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNTS[addon],
            policy=policy,
            after=after,
            opts=pulumi.ResourceOptions(parent=self),
        )


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the change into the base, mapping by mapping."""
    result = dict(base)
    for key, value in change.items():
        before = result.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            value = merged(before, value)  # noqa: PLW2901
        result[key] = value
    return result


def _configuration(addon: AddonName, settings: EksSettings) -> dict[str, Any]:
    """Values that we set in each add-on's schema; all others keep their defaults."""
    values: dict[AddonName, dict[str, Any]] = {
        # EKS itself sets CLUSTER_NAME, which its policy depends on. Its schema takes
        # strings where one would write booleans.
        "vpc-cni": {
            "enableNetworkPolicy": "true",
            "env": {
                addon_checks.PREFIX_DELEGATION: "true",
                "WARM_PREFIX_TARGET": "1",
                addon_checks.ENFORCING_MODE: settings.network_policy_mode,
            },
        },
        "coredns": {
            "autoScaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 10},
            "podDisruptionBudget": {"enabled": True, "maxUnavailable": 1},
        },
        # Its policy allows access to resources with this tag only.
        "aws-ebs-csi-driver": {
            "controller": {"extraVolumeTags": {CLUSTER_TAG: settings.name}}
        },
        # Also on nodes with taints: those with GPUs are the ones to watch.
        "eks-node-monitoring-agent": {
            "nodeAgent": {"tolerations": [{"operator": "Exists"}]}
        },
    }
    return values.get(addon, {})
