"""The cluster itself as plain data: access, encryption, logs, protection, add-ons."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
import yaml

from components.cluster import addon_versions, addons, kubernetes_support
from components.cluster.eks_settings import AddonName
from components.settings import SettingsError
from lab import paths
from slipway.monitor import Resource
from slipway.render import Rendered, render
from tests.support import eks

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


def test_addons_have_full_versions_and_say_who_wins(everything: Rendered) -> None:
    found = {r.inputs["addonName"]: r for r in eks.of_type(everything, "Addon")}
    assert set(found) == set(AddonName.__args__)  # type: ignore[attr-defined]
    for name, addon in found.items():
        assert addon.inputs["addonVersion"] == addon_versions.PINNED["1.35"][name]
        assert addon.inputs["resolveConflictsOnCreate"] == "OVERWRITE"
        assert addon.inputs["resolveConflictsOnUpdate"] == "OVERWRITE"
        assert addon.inputs["preserve"] is False


def values(rendered: Rendered, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        inputs(rendered, "Addon", name)["configurationValues"]
    )
    return found


def test_the_network_enforces_policies_and_gives_nodes_blocks_of_addresses(
    everything: Rendered,
) -> None:
    assert values(everything, "addons-network-vpc-cni") == {
        "enableNetworkPolicy": "true",
        "env": {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"},
    }


def test_volumes_bear_the_tag_by_which_the_drivers_policy_knows_them(
    everything: Rendered,
) -> None:
    (name, value), *more = values(everything, "addons-aws-ebs-csi-driver")[
        "controller"
    ]["extraVolumeTags"].items()
    assert (name, value, more) == ("slipway.dev/cluster", "demo", [])
    policy = inputs(everything, "RolePolicy", "addons-aws-ebs-csi-driver-rights")
    assert f"aws:ResourceTag/{name}" in policy["policy"]


def test_settings_of_an_addon_are_merged_into_ours() -> None:
    found = eks.with_addons(
        addons={
            "vpc-cni": {
                "version": "v1.22.4-eksbuild.3",
                "configuration": {"env": {"WARM_PREFIX_TARGET": "2"}, "livenessX": 1},
            }
        }
    )
    assert values(found, "addons-network-vpc-cni") == {
        "enableNetworkPolicy": "true",
        "env": {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "2"},
        "livenessX": 1,
    }
    addon = inputs(found, "Addon", "addons-network-vpc-cni")
    assert addon["addonVersion"] == "v1.22.4-eksbuild.3"


def test_addons_that_call_aws_have_their_rights_first(everything: Rendered) -> None:
    for prefix, name in (
        ("addons-network", "vpc-cni"),
        ("addons", "aws-ebs-csi-driver"),
    ):
        addon = eks.named(everything, "Addon", f"{prefix}-{name}")
        association = eks.named(
            everything, "PodIdentityAssociation", f"{prefix}-{name}"
        )
        assert association.urn in addon.depends_on
        account = association.inputs["serviceAccount"]
        assert account == addons.SERVICE_ACCOUNTS[name]  # type: ignore[index]
        assert association.inputs["namespace"] == "kube-system"
    assert len(eks.of_type(everything, "PodIdentityAssociation")) == 2


def test_the_network_is_there_before_nodes_and_dns_after(everything: Rendered) -> None:
    cluster = eks.named(everything, "Cluster", "eks").urn
    first = [a for a in eks.of_type(everything, "Addon") if "-network-" in a.name]
    later = [a for a in eks.of_type(everything, "Addon") if "-network-" not in a.name]
    assert {a.inputs["addonName"] for a in first} == {
        "eks-pod-identity-agent",
        "vpc-cni",
        "kube-proxy",
    }
    assert all(cluster in a.depends_on for a in first)
    # `after` of the second stage is the first's, in place of the system pool.
    assert all({a.urn for a in first} <= set(b.depends_on) for b in later)
    agent = eks.named(everything, "Addon", "addons-network-eks-pod-identity-agent").urn
    cni = eks.named(everything, "Addon", "addons-network-vpc-cni")
    assert agent in cni.depends_on


def test_the_table_of_addons_is_whole() -> None:
    names = set(AddonName.__args__)  # type: ignore[attr-defined]
    for version, table in addon_versions.PINNED.items():
        assert set(table) == names, version
        assert table["kube-proxy"].startswith(f"v{version}.")
        assert all("-eksbuild." in v for v in table.values())
    assert date.fromisoformat(addon_versions.AS_OF)
    assert {name for stage in addons.STAGES.values() for name in stage} == names
    for version, name in addon_versions.UNCONFIRMED:
        assert name in addon_versions.PINNED[version]


def judged(version: str, day: str, *, extended: bool = False) -> list[str]:
    found = kubernetes_support.problems(
        version, extended_support=extended, day=date.fromisoformat(day)
    )
    return [p.reason for p in found]


def test_a_version_is_taken_until_the_last_day_of_its_support() -> None:
    assert judged("1.33", "2026-07-29") == []
    (reason,) = judged("1.33", "2026-07-30")
    assert "standard support ended on 2026-07-29" in reason
    assert judged("1.33", "2026-07-30", extended=True) == []
    assert judged("1.33", "2027-07-29", extended=True) == []
    (reason,) = judged("1.33", "2027-07-30", extended=True)
    assert "extended support ended on 2027-07-29" in reason


def test_a_version_that_is_none_is_refused_with_those_that_are() -> None:
    (problem,) = kubernetes_support.problems(
        "1.99", extended_support=False, day=date(2026, 11, 23)
    )
    assert "no such version" in problem.reason
    assert "1.35" in problem.fix
    assert "1.33" not in problem.fix


@pytest.mark.parametrize(
    ("day", "extended", "wanted"),
    [
        ("2026-09-02", False, None),
        ("2026-09-03", False, "leaves standard support of EKS in 90 days"),
        ("2026-12-02", False, "in 0 days, on 2026-12-02: EKS then upgrades"),
        ("2026-12-02", True, "in 0 days, on 2026-12-02: EKS then bills six times"),
        ("2026-12-03", True, None),
        ("2027-11-01", True, "leaves extended support of EKS in 31 days"),
    ],
)
def test_the_end_of_support_is_told_90_days_before(
    day: str, extended: bool, wanted: str | None
) -> None:
    found = kubernetes_support.warning(
        "1.34", extended_support=extended, day=date.fromisoformat(day)
    )
    if wanted is None:
        assert found is None
    else:
        assert found is not None
        assert wanted in found
        assert "docs/how-to/eks-cluster.md" in found


def test_the_warning_is_shown_when_the_program_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(kubernetes_support.TODAY, "2026-11-23")
    (message,) = eks.cluster(version="1.34").messages
    assert "in 9 days, on 2026-12-02" in message
    assert "Upgrade to 1.35" in message
    assert eks.cluster(version="1.35").messages == ()


def test_the_day_is_todays_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kubernetes_support.TODAY, raising=False)
    before = date.today()  # noqa: DTZ011
    assert before <= kubernetes_support.today() <= date.today()  # noqa: DTZ011


def test_all_problems_are_told_at_once() -> None:
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


def test_the_page_shows_what_is_told() -> None:
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


def test_the_page_has_every_addon() -> None:
    for name in AddonName.__args__:  # type: ignore[attr-defined]
        assert f"| {name} |" in page()
