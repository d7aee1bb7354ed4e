"""The cluster itself as plain data: access, encryption, logs, protection, add-ons."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import yaml

from components.cluster import kubernetes_support
from components.settings import SettingsError
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered, render
from tests.support import eks
from toolchain import paths

TAGGED = {
    "Cluster",
    "Addon",
    "AccessEntry",
    "PodIdentityAssociation",
    "Role",
    "Key",
    "LogGroup",
    "SecurityGroup",
    "SecurityGroupIngressRule",
}
UNTAGGABLE = {
    "Alias",
    "RolePolicy",
    "RolePolicyAttachment",
    "AccessPolicyAssociation",
}
"""Types of which AWS takes no tags."""


def inputs(rendered: Rendered, kind: str, name: str) -> dict[str, Any]:
    return eks.named(rendered, kind, name).inputs


def the_cluster(**change: Any) -> dict[str, Any]:
    return inputs(eks.cluster(**change), "Cluster", "eks")


def refused(**change: Any) -> list[str]:
    """Paths of the problems that these settings have."""
    with pytest.raises(SettingsError) as caught:
        eks.settings(**change)
    return [p.path for p in caught.value.problems]


def custom(rendered: Rendered) -> list[Resource]:
    return [r for r in rendered.resources if r.custom]


@pytest.fixture(scope="module")
def everything() -> Rendered:
    return eks.with_addons(
        viewers=[eks.VIEWER],
        private_access_cidrs=["10.9.0.0/16"],
        hybrid_nodes={"node_cidrs": ["10.80.0.0/16"], "pod_cidrs": ["10.81.0.0/16"]},
    )


def test_every_resource_is_one_that_the_docstring_names(everything: Rendered) -> None:
    found = sorted(eks.short(r.urn) for r in custom(everything))
    assert found == sorted(
        [
            "Key eks-secrets",
            "Alias eks-secrets",
            "Key eks-logs",
            "Alias eks-logs",
            "LogGroup eks-logs",
            "Role eks-role",
            "RolePolicyAttachment eks-role-amazoneksclusterpolicy",
            "SecurityGroup eks-api",
            "SecurityGroupIngressRule eks-api-10.9.0.0-16",
            "SecurityGroupIngressRule eks-api-10.80.0.0-16",
            "SecurityGroupIngressRule eks-api-10.81.0.0-16",
            "Cluster eks",
            "AccessEntry eks-administrator-platform-admins",
            "AccessPolicyAssociation eks-administrator-platform-admins",
            "AccessEntry eks-viewer-people-on-call",
            "AccessPolicyAssociation eks-viewer-people-on-call",
            "Role addons-network-vpc-cni",
            "RolePolicy addons-network-vpc-cni-rights",
            "PodIdentityAssociation addons-network-vpc-cni",
            "Addon addons-network-vpc-cni",
            "Addon addons-network-kube-proxy",
            "Addon addons-network-eks-pod-identity-agent",
            "Addon addons-coredns",
            "Addon addons-eks-node-monitoring-agent",
            "Role addons-aws-ebs-csi-driver",
            "RolePolicy addons-aws-ebs-csi-driver-rights",
            "PodIdentityAssociation addons-aws-ebs-csi-driver",
            "Addon addons-aws-ebs-csi-driver",
        ]
    )


def test_all_bear_the_clusters_tag_and_a_name(everything: Rendered) -> None:
    for resource in custom(everything):
        kind = resource.type.rpartition(":")[2]
        assert kind in TAGGED | UNTAGGABLE, kind
        if kind in TAGGED:
            tags = resource.inputs["tags"]
            assert tags["slipway.dev/cluster"] == "demo", resource.urn
            assert tags["Name"].startswith(("demo", "/aws/eks/demo/")), resource.urn


def test_all_have_a_parent_and_only_what_holds_data_is_protected(
    everything: Rendered,
) -> None:
    assert all("slipway:cluster:" in r.parent for r in custom(everything))
    protected = {eks.short(r.urn) for r in custom(everything) if r.protect}
    assert protected == {
        "Cluster eks",
        "LogGroup eks-logs",
        "Key eks-secrets",
        "Alias eks-secrets",
        "Key eks-logs",
        "Alias eks-logs",
    }


def test_without_protection_all_can_be_deleted() -> None:
    found = eks.cluster(deletion_protection=False)
    assert not any(r.protect for r in found.resources)
    assert inputs(found, "Cluster", "eks")["deletionProtection"] is False
    assert inputs(found, "Key", "eks-secrets")["deletionWindowInDays"] == 7


def test_the_endpoint_is_private_unless_ranges_are_given() -> None:
    private = the_cluster()["vpcConfig"]
    assert private["endpointPrivateAccess"] is True
    assert private["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in private
    public = the_cluster(public_access_cidrs=["203.0.113.0/24"])["vpcConfig"]
    assert public["endpointPublicAccess"] is True
    assert public["publicAccessCidrs"] == ["203.0.113.0/24"]
    assert public["endpointPrivateAccess"] is True


def test_secrets_are_encrypted_with_a_key_of_their_own_that_rotates() -> None:
    found = eks.cluster()
    key = inputs(found, "Key", "eks-secrets")
    assert key["enableKeyRotation"] is True
    assert key["deletionWindowInDays"] == 30
    assert inputs(found, "Alias", "eks-secrets")["name"] == "alias/demo-secrets"
    encryption = inputs(found, "Cluster", "eks")["encryptionConfig"]
    assert encryption["resources"] == ["secrets"]
    assert encryption["provider"]["keyArn"].endswith("eks-secrets")


def test_all_logs_go_to_an_encrypted_group_that_is_there_first() -> None:
    found = eks.cluster(log_retention_days=90)
    cluster = eks.named(found, "Cluster", "eks")
    assert sorted(cluster.inputs["enabledClusterLogTypes"]) == [
        "api",
        "audit",
        "authenticator",
        "controllerManager",
        "scheduler",
    ]
    group = eks.named(found, "LogGroup", "eks-logs")
    assert group.inputs["name"] == "/aws/eks/demo/cluster"
    assert group.inputs["retentionInDays"] == 90
    assert group.inputs["kmsKeyId"].endswith("eks-logs")
    assert group.urn in cluster.depends_on


def test_the_role_has_its_policy_before_the_cluster_uses_it() -> None:
    found = eks.cluster()
    attachment = eks.named(
        found, "RolePolicyAttachment", "eks-role-amazoneksclusterpolicy"
    )
    assert attachment.inputs["policyArn"] == (
        "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    )
    assert len(eks.of_type(found, "RolePolicyAttachment")) == 1
    assert attachment.urn in eks.named(found, "Cluster", "eks").depends_on
    assert inputs(found, "Role", "eks-role")["name"] == "demo-cluster"


def test_nobody_has_rights_but_by_an_entry() -> None:
    found = eks.cluster(viewers=[eks.VIEWER])
    access = inputs(found, "Cluster", "eks")["accessConfig"]
    assert access == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }
    given = {
        r.inputs["principalArn"]: (r.inputs["policyArn"], r.inputs["accessScope"])
        for r in eks.of_type(found, "AccessPolicyAssociation")
    }
    policy = "arn:aws:eks::aws:cluster-access-policy/"
    assert given == {
        eks.ADMINISTRATOR: (
            f"{policy}AmazonEKSClusterAdminPolicy",
            {"type": "cluster"},
        ),
        eks.VIEWER: (f"{policy}AmazonEKSViewPolicy", {"type": "cluster"}),
    }
    entries = {r.inputs["principalArn"] for r in eks.of_type(found, "AccessEntry")}
    assert entries == set(given)
    assert all("kubernetesGroups" not in r.inputs for r in found.resources)


def test_who_may_come_to_the_private_endpoint_is_said() -> None:
    assert eks.of_type(eks.cluster(), "SecurityGroupIngressRule") == []
    found = eks.cluster(private_access_cidrs=["10.9.0.0/16"])
    group = inputs(found, "SecurityGroup", "eks-api")
    assert "ingress" not in group
    assert "egress" not in group
    (rule,) = eks.of_type(found, "SecurityGroupIngressRule")
    assert rule.inputs["cidrIpv4"] == "10.9.0.0/16"
    assert (rule.inputs["fromPort"], rule.inputs["toPort"]) == (443, 443)
    vpc = inputs(found, "Cluster", "eks")["vpcConfig"]
    assert vpc["securityGroupIds"] == ["eks-api-id"]


def test_support_that_costs_more_is_asked_for() -> None:
    assert the_cluster()["upgradePolicy"] == {"supportType": "STANDARD"}
    found = the_cluster(version="1.33", extended_support=True)
    assert found["upgradePolicy"] == {"supportType": "EXTENDED"}


def test_no_addon_that_eks_does_not_manage() -> None:
    assert the_cluster()["bootstrapSelfManagedAddons"] is False


def test_zonal_shift_and_service_range() -> None:
    found = the_cluster(zonal_shift=False, service_cidr="10.100.0.0/16")
    assert found["zonalShiftConfig"] == {"enabled": False}
    assert found["kubernetesNetworkConfig"] == {
        "ipFamily": "ipv4",
        "serviceIpv4Cidr": "10.100.0.0/16",
    }
    assert the_cluster()["zonalShiftConfig"] == {"enabled": True}


def test_hosts_outside_of_aws_may_join_if_their_ranges_are_given() -> None:
    assert "remoteNetworkConfig" not in the_cluster()
    found = eks.cluster(
        hybrid_nodes={"node_cidrs": ["10.80.0.0/16"], "pod_cidrs": ["10.81.0.0/16"]}
    )
    assert inputs(found, "Cluster", "eks")["remoteNetworkConfig"] == {
        "remoteNodeNetworks": {"cidrs": ["10.80.0.0/16"]},
        "remotePodNetworks": {"cidrs": ["10.81.0.0/16"]},
    }
    rules = eks.of_type(found, "SecurityGroupIngressRule")
    assert {r.inputs["cidrIpv4"] for r in rules} == {"10.80.0.0/16", "10.81.0.0/16"}


def test_all_problems_are_reported_at_once() -> None:
    found = refused(
        version="1.33",
        public_access_cidrs=["0.0.0.0/0", "10.0.0.0/16"],
        administrators=[],
        service_cidr="8.8.0.0/16",
    )
    assert found == [
        "version",
        "public_access_cidrs.0",
        "public_access_cidrs.1",
        "service_cidr",
        "administrators",
    ]


def page() -> str:
    return (paths.ROOT / "docs" / "how-to" / "eks-cluster.md").read_text()


def test_the_page_shows_what_is_reported() -> None:
    good = yaml.safe_load(
        (paths.ROOT / "tests" / "rejects" / "cluster-eks.yaml").read_text()
    )["good"]
    wrong = {
        "version": "1.33",
        "public_access_cidrs": ["0.0.0.0/0"],
        "administrators": [],
    }
    with pytest.raises(SettingsError) as caught:
        render("cluster.mine", config={**good, "cluster": {**good["cluster"], **wrong}})
    assert f"\n```\n{caught.value}\n```\n" in page()
    warning = kubernetes_support.warning(
        "1.34", extended_support=False, day=date(2026, 11, 23)
    )
    assert f"\n```\n{warning}\n```\n" in page()


def test_the_page_shows_settings_that_are_taken() -> None:
    blocks = [part.split("```")[0] for part in page().split("```yaml\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        eks.settings(**yaml.safe_load(block)["cluster"])
