"""EKS add-ons: pinned versions, their settings, rights and order."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from components.cluster import addon_versions, addons
from components.cluster.eks_settings import AddonName
from slipway.rendering.render import Rendered
from tests.support import eks
from toolchain import paths


@pytest.fixture(scope="module")
def everything() -> Rendered:
    return eks.with_addons()


def inputs(rendered: Rendered, kind: str, name: str) -> dict[str, Any]:
    return eks.named(rendered, kind, name).inputs


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
        "env": {
            "ENABLE_PREFIX_DELEGATION": "true",
            "NETWORK_POLICY_ENFORCING_MODE": "standard",
            "WARM_PREFIX_TARGET": "1",
        },
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
        "env": {
            "ENABLE_PREFIX_DELEGATION": "true",
            "NETWORK_POLICY_ENFORCING_MODE": "standard",
            "WARM_PREFIX_TARGET": "2",
        },
        "livenessX": 1,
    }
    addon = inputs(found, "Addon", "addons-network-vpc-cni")
    assert addon["addonVersion"] == "v1.22.4-eksbuild.3"


def test_the_mode_of_network_policies_is_the_settings() -> None:
    found = eks.with_addons(network_policy_mode="strict")
    environment = values(found, "addons-network-vpc-cni")["env"]
    assert environment["NETWORK_POLICY_ENFORCING_MODE"] == "strict"


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


def test_the_page_has_every_addon() -> None:
    page = (paths.ROOT / "docs" / "how-to" / "eks-cluster.md").read_text()
    for name in AddonName.__args__:  # type: ignore[attr-defined]
        assert f"| {name} |" in page
