"""Permissions in the AWS account: of nodes, and of pods by their service account."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.cluster.iam import names, policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.policy_document import PolicyDocument
from components.cluster.iam.tags import tags

NODE_POLICIES = (
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEC2ContainerRegistryPullOnly",
)
"""AWS's own, for the pod identity agent (`eks-auth:AssumeRoleForPodIdentity`) and the
kubelet's image pulls."""


class NodeRole(pulumi.ComponentResource):
    """The role of every node, no matter what starts it.

    Creates:

    - role `<cluster>-node`, trusted by EC2;
    - AWS's policies for pod identity and image pulls;
    - an inline policy for nodeadm's start and Session Manager.

    It may not touch network interfaces or volumes: the add-ons that do have roles of
    their own, so that a pod that gets at a node's credentials gets little.
    """

    def __init__(
        self,
        name: str,
        *,
        cluster: str,
        arns: Arns,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:cluster:NodeRole", name, None, opts)
        self.role_name = names.node_role(cluster)
        role = aws.iam.Role(
            name,
            name=self.role_name,
            description=f"Nodes of the cluster {cluster}",
            assume_role_policy=policies.node_trust().json(),
            tags=tags(cluster, self.role_name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        rights: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy.lower()}",
                role=role.name,
                policy_arn=arns.managed_policy(policy),
                opts=pulumi.ResourceOptions(parent=role),
            )
            for policy in NODE_POLICIES
        ]
        rights.append(
            aws.iam.RolePolicy(
                f"{name}-start",
                name="node",
                role=role.name,
                policy=policies.node(arns).json(),
                opts=pulumi.ResourceOptions(parent=role),
            )
        )
        self.rights: Sequence[pulumi.Resource] = tuple(rights)
        """What nodes need before they start: `depends_on` of what starts them."""
        self.arn: pulumi.Output[str] = role.arn
        self.register_outputs({"arn": self.arn})


class PodIdentity(pulumi.ComponentResource):
    """The role of one service account.

    Creates:

    - role `<cluster>-<namespace>-<service account>`, which EKS hands to pods of this
      service account of this cluster and to nobody else;
    - its inline policy;
    - the association, by which the pod identity agent finds it.
    """

    def __init__(
        self,
        name: str,
        *,
        arns: Arns,
        cluster: str,
        namespace: str,
        service_account: str,
        policy: PolicyDocument | pulumi.Input[str],
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`policy`: the document, or its JSON where it holds what only AWS knows.

        `after`: the cluster, without which there is nothing to associate.
        """
        super().__init__("slipway:cluster:PodIdentity", name, None, opts)
        role_name = names.pod_role(cluster, namespace, service_account)
        trust = policies.pod_trust(
            arns,
            cluster=cluster,
            namespace=namespace,
            service_account=service_account,
        )
        role = aws.iam.Role(
            name,
            name=role_name,
            description=f"Pods of {namespace}/{service_account} in {cluster}",
            assume_role_policy=trust.json(),
            tags=tags(cluster, role_name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        rights = aws.iam.RolePolicy(
            f"{name}-rights",
            name="rights",
            role=role.name,
            policy=policy.json() if isinstance(policy, PolicyDocument) else policy,
            opts=pulumi.ResourceOptions(parent=role),
        )
        self.association = aws.eks.PodIdentityAssociation(
            name,
            cluster_name=cluster,
            namespace=namespace,
            service_account=service_account,
            role_arn=role.arn,
            tags=tags(cluster, role_name),
            # With its rights: a pod that starts at once must not be refused.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*after, rights]),
        )
        self.role_name = role_name
        self.arn: pulumi.Output[str] = role.arn
        self.register_outputs({"arn": self.arn})
