"""The EKS cluster: private, encrypted, logged, with explicit access entries only."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.cluster import kubernetes_support
from components.cluster.eks_settings import EksSettings
from components.cluster.iam import names, policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.policy_document import PolicyDocument
from components.cluster.iam.tags import tags
from components.cluster.storage.encryption_key import EncryptionKey

CLUSTER_POLICY = "AmazonEKSClusterPolicy"
"""Permissions of a control plane with managed and Karpenter nodes, without those for
EKS Auto Mode and security groups for pods."""
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
"""All that EKS writes."""
ADMINISTRATOR_POLICY = "AmazonEKSClusterAdminPolicy"
VIEWER_POLICY = "AmazonEKSViewPolicy"
"""Reads all but Secrets; AmazonEKSAdminViewPolicy would read those too.
https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html"""
API_PORT = 443


class Eks(pulumi.ComponentResource):
    """A cluster and the resources that it requires.

    Creates:

    - a KMS key for Kubernetes' Secrets and one for the control plane's logs, rotated
      each year, each with an alias;
    - the log group, before the cluster would make one without key and retention;
    - role `<cluster>-cluster`, assumed by EKS for this cluster only;
    - a security group for those who reach the private endpoint from elsewhere;
    - the cluster: private endpoint, public only for given ranges, all logs, access by
      entries alone, no add-on that EKS would not manage;
    - an access entry with its policy for each administrator and viewer.

    What holds data is protected while `deletion_protection` is set.
    """

    def __init__(
        self,
        name: str,
        settings: EksSettings,
        *,
        arns: Arns,
        vpc_id: pulumi.Input[str],
        subnets: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`subnets`: of two zones or more; the control plane's interfaces lie there."""
        super().__init__("slipway:cluster:Eks", name, None, opts)
        self.settings = settings
        self._prefix = name
        self._arns = arns
        log_group = self._log_group()
        self.cluster = self._cluster(
            subnets,
            secrets_key=self._key("secrets", "Secrets", policies.key(arns)),
            security_group=self._security_group(vpc_id),
            role=self._role(),
            after=[log_group],
        )
        self.access: Sequence[pulumi.Resource] = (
            *self._entries("administrator", settings.administrators),
            *self._entries("viewer", settings.viewers),
        )
        """Access of people, for `depends_on` of changes in the cluster."""
        self.name = self.cluster.name
        self.endpoint = self.cluster.endpoint
        self.certificate_authority: pulumi.Output[str] = (
            self.cluster.certificate_authority.apply(lambda ca: ca.data)
        )
        self.security_group_id: pulumi.Output[str] = self.cluster.vpc_config.apply(
            lambda config: config.cluster_security_group_id
        )
        """The group that EKS made: control plane and nodes talk within it."""
        self._warn()
        self.register_outputs(
            {"name": self.name, "endpoint": self.endpoint, "arn": self.cluster.arn}
        )

    def _tags(self, name: str) -> dict[str, str]:
        return tags(self.settings.name, name)

    def _holding_data(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, protect=self.settings.deletion_protection
        )

    def _key(
        self, purpose: str, encrypts: str, policy: PolicyDocument
    ) -> EncryptionKey:
        return EncryptionKey(
            f"{self._prefix}-{purpose}",
            alias=names.cluster_key_alias(self.settings.name, purpose),
            purpose=encrypts,
            policy=policy,
            cluster=self.settings.name,
            protect=self.settings.deletion_protection,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _log_group(self) -> aws.cloudwatch.LogGroup:
        group = f"/aws/eks/{self.settings.name}/cluster"
        policy = policies.key(self._arns, policies.logs_use_key(self._arns, group))
        key = self._key("logs", "logs of the control plane", policy)
        return aws.cloudwatch.LogGroup(
            f"{self._prefix}-logs",
            name=group,
            retention_in_days=self.settings.log_retention_days,
            kms_key_id=key.arn,
            tags=self._tags(group),
            opts=self._holding_data(),
        )

    def _role(self) -> tuple[aws.iam.Role, pulumi.Resource]:
        name = names.cluster_role(self.settings.name)
        role = aws.iam.Role(
            f"{self._prefix}-role",
            name=name,
            description=f"Control plane of the cluster {self.settings.name}",
            assume_role_policy=policies.cluster_trust(
                self._arns, self.settings.name
            ).json(),
            tags=self._tags(name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        rights = aws.iam.RolePolicyAttachment(
            f"{self._prefix}-role-{CLUSTER_POLICY.lower()}",
            role=role.name,
            policy_arn=self._arns.managed_policy(CLUSTER_POLICY),
            opts=pulumi.ResourceOptions(parent=role),
        )
        return role, rights

    def _security_group(self, vpc_id: pulumi.Input[str]) -> aws.ec2.SecurityGroup:
        name = f"{self.settings.name}-api"
        group = aws.ec2.SecurityGroup(
            f"{self._prefix}-api",
            name=name,
            description=f"Who reaches the API server of {self.settings.name} privately",
            vpc_id=vpc_id,
            tags=self._tags(name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        hybrid = self.settings.hybrid_nodes
        ranges = {
            *self.settings.private_access_cidrs,
            *(hybrid.node_cidrs + hybrid.pod_cidrs if hybrid else ()),
        }
        for cidr in sorted(ranges):
            label = cidr.replace("/", "-")
            aws.vpc.SecurityGroupIngressRule(
                f"{self._prefix}-api-{label}",
                security_group_id=group.id,
                description=f"API server from {cidr}",
                ip_protocol="tcp",
                from_port=API_PORT,
                to_port=API_PORT,
                cidr_ipv4=cidr,
                tags=self._tags(f"{name}-{label}"),
                opts=pulumi.ResourceOptions(parent=group),
            )
        return group

    def _cluster(
        self,
        subnets: Sequence[pulumi.Input[str]],
        *,
        secrets_key: EncryptionKey,
        security_group: aws.ec2.SecurityGroup,
        role: tuple[aws.iam.Role, pulumi.Resource],
        after: Sequence[pulumi.Resource],
    ) -> aws.eks.Cluster:
        settings = self.settings
        public = list(settings.public_access_cidrs)
        return aws.eks.Cluster(
            self._prefix,
            name=settings.name,
            version=settings.version,
            role_arn=role[0].arn,
            vpc_config={
                "subnet_ids": list(subnets),
                "security_group_ids": [security_group.id],
                "endpoint_private_access": True,
                "endpoint_public_access": bool(public),
                # EKS interprets an empty list as 0.0.0.0/0.
                "public_access_cidrs": public or None,
            },
            access_config={
                "authentication_mode": "API",
                "bootstrap_cluster_creator_admin_permissions": False,
            },
            kubernetes_network_config={
                "ip_family": "ipv4",
                "service_ipv4_cidr": settings.service_cidr,
            },
            encryption_config={
                "provider": {"key_arn": secrets_key.arn},
                "resources": ["secrets"],
            },
            enabled_cluster_log_types=list(LOG_TYPES),
            bootstrap_self_managed_addons=False,
            upgrade_policy={
                "support_type": "EXTENDED" if settings.extended_support else "STANDARD"
            },
            zonal_shift_config={"enabled": settings.zonal_shift},
            deletion_protection=settings.deletion_protection,
            remote_network_config=self._remote_networks(),
            tags=self._tags(settings.name),
            opts=pulumi.ResourceOptions.merge(
                self._holding_data(),
                pulumi.ResourceOptions(depends_on=[*after, role[1]]),
            ),
        )

    def _remote_networks(self) -> aws.eks.ClusterRemoteNetworkConfigArgsDict | None:
        hybrid = self.settings.hybrid_nodes
        if not hybrid:
            return None
        return {
            "remote_node_networks": {"cidrs": list(hybrid.node_cidrs)},
            "remote_pod_networks": {"cidrs": list(hybrid.pod_cidrs)},
        }

    def _entries(
        self, kind: str, principals: Sequence[str]
    ) -> Sequence[pulumi.Resource]:
        policy = {"administrator": ADMINISTRATOR_POLICY, "viewer": VIEWER_POLICY}[kind]
        made = []
        for principal in principals:
            label = principal.partition(":role/")[2].replace("/", "-")
            name = f"{self._prefix}-{kind}-{label}"
            entry = aws.eks.AccessEntry(
                name,
                cluster_name=self.cluster.name,
                principal_arn=principal,
                type="STANDARD",
                tags=self._tags(f"{self.settings.name}-{kind}-{label}"),
                # Not children of the cluster: its deletion protection would apply to
                # access entries too.
                opts=pulumi.ResourceOptions(parent=self),
            )
            made.append(
                aws.eks.AccessPolicyAssociation(
                    name,
                    cluster_name=self.cluster.name,
                    principal_arn=entry.principal_arn,
                    policy_arn=self._arns.access_policy(policy),
                    access_scope={"type": "cluster"},
                    opts=pulumi.ResourceOptions(parent=entry),
                )
            )
        return made

    def _warn(self) -> None:
        text = kubernetes_support.warning(
            self.settings.version,
            extended_support=self.settings.extended_support,
            day=kubernetes_support.today(),
        )
        if text:
            pulumi.log.warn(text, self)
