"""Karpenter's objects of elastic pools, against Karpenter's own schemas."""

from __future__ import annotations

import dataclasses
import email
from typing import Any

import pytest

from components.cluster.nodes import amis, pool_nodes
from components.cluster.nodes.elastic_pool import ElasticPool
from components.platform import karpenter, node_pools
from components.platform.node_pools import NodePools
from tests.support import pools, schemas
from tests.support.aws_rendered import rendered

RESERVED = {"capacity": ["reserved", "spot", "on-demand"]}
CASES: dict[str, dict[str, Any]] = {
    "gpu": pools.ELASTIC,
    "several types": {
        **pools.ELASTIC,
        "instance_types": ["g6e.xlarge", "g6e.12xlarge"],
        "max_gpus": 32,
        "labels": {"example.com/team": "a"},
        "taints": [{"key": "example.com/only", "effect": "NoExecute"}],
    },
    "reserved": {**pools.ELASTIC, **RESERVED, "reservations": [pools.RESERVATION]},
    "cpu": {"kind": "elastic", "instance_types": ["m7g.large"], "max_nodes": 10},
    "neuron": {
        **pools.ELASTIC,
        "instance_types": ["inf2.xlarge"],
        "zones": ["eu-central-1b"],
    },
    "mig": {
        **pools.ELASTIC,
        "instance_types": ["p4d.24xlarge"],
        "max_gpus": 16,
        "gpu": {"mode": "mig", "mig_profile": "2g.10gb"},
    },
    "time slicing": {**pools.ELASTIC, "gpu": {"mode": "time_slicing", "replicas": 4}},
}


@pytest.fixture(scope="session")
def crds() -> dict[str, dict[str, Any]]:
    """Karpenter's definitions by kind, from its pinned module."""
    return {crd["spec"]["names"]["kind"]: crd for crd in karpenter.definitions()}


def spec(config: dict[str, Any], kind: str = "NodePool") -> dict[str, Any]:
    found: dict[str, Any] = pools.objects(config)[kind]["spec"]
    return found


def requirement(config: dict[str, Any], key: str) -> list[str]:
    (found,) = (
        r
        for r in spec(config)["template"]["spec"]["requirements"]
        if r["key"].endswith(key)
    )
    assert found["operator"] == "In"
    values: list[str] = found["values"]
    return values


@pytest.mark.parametrize("case", CASES)
def test_karpenter_knows_every_field(
    case: str, crds: dict[str, dict[str, Any]]
) -> None:
    for kind, manifest in pools.objects(CASES[case]).items():
        assert schemas.crd_problems(manifest, crds[kind]) == []


def test_a_wrong_field_would_be_seen(crds: dict[str, dict[str, Any]]) -> None:
    manifest = pools.objects(pools.ELASTIC)["EC2NodeClass"]
    manifest["spec"]["metadataOptions"]["httpTokens"] = "maybe"
    manifest["spec"]["amiFamilies"] = "AL2023"
    assert len(schemas.crd_problems(manifest, crds["EC2NodeClass"])) == 2


def test_images_are_of_a_pinned_release() -> None:
    terms = spec(pools.ELASTIC, "EC2NodeClass")["amiSelectorTerms"]
    assert terms == [{"alias": f"al2023@{amis.lock().tag}"}]


def test_nodes_are_closed_encrypted_and_tagged() -> None:
    found = spec(pools.ELASTIC, "EC2NodeClass")
    assert found["metadataOptions"]["httpTokens"] == "required"
    assert found["metadataOptions"]["httpPutResponseHopLimit"] == 1
    (disk,) = found["blockDeviceMappings"]
    assert disk["ebs"] == {
        "volumeSize": "100Gi",
        "volumeType": "gp3",
        "encrypted": True,
        "deleteOnTermination": True,
    }
    assert found["associatePublicIPAddress"] is False
    assert found["tags"] == {"environment": "test", "Name": "prod-gpu"}
    assert found["instanceProfile"] == "prod-node"
    assert "role" not in found


def test_karpenter_makes_the_profile_where_no_stack_did() -> None:
    chosen = pools.pool(pools.ELASTIC)
    assert isinstance(chosen, ElasticPool)
    facts = dataclasses.replace(pools.KARPENTER, instance_profile="")
    found = node_pools.node_class("gpu", chosen, facts)["spec"]
    assert found["role"] == "prod-node"
    assert "instanceProfile" not in found


@pytest.mark.parametrize(
    ("types", "policy"), [(["g6.xlarge"], "RAID0"), (["inf2.xlarge"], None)]
)
def test_local_disks_are_used_where_there_are_some(
    types: list[str], policy: str | None
) -> None:
    found = spec({**pools.ELASTIC, "instance_types": types}, "EC2NodeClass")
    assert found.get("instanceStorePolicy") == policy


def test_the_ladder_is_one_requirement() -> None:
    config = CASES["reserved"]
    assert requirement(config, "capacity-type") == ["reserved", "spot", "on-demand"]
    terms = spec(config, "EC2NodeClass")["capacityReservationSelectorTerms"]
    assert terms == [{"id": pools.RESERVATION}]
    assert "capacityReservationSelectorTerms" not in spec(pools.ELASTIC, "EC2NodeClass")


def test_pools_are_where_they_may_be() -> None:
    assert requirement(pools.ELASTIC, "zone") == list(pools.ZONES)
    assert requirement(CASES["neuron"], "zone") == ["eu-central-1b"]
    assert requirement(CASES["cpu"], "arch") == ["arm64"]
    assert requirement(pools.ELASTIC, "arch") == ["amd64"]
    assert requirement(pools.ELASTIC, "instance-type") == ["g6.xlarge"]


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ("gpu", {"cpu": "16", "memory": "65536Mi", "nvidia.com/gpu": "4"}),
        # 32 nodes of 4 vCPUs and 1 GPU, or 8 of 48 and 4: the second needs more.
        (
            "several types",
            {"cpu": "384", "memory": "3145728Mi", "nvidia.com/gpu": "32"},
        ),
        ("cpu", {"cpu": "20", "memory": "81920Mi", "nodes": "10"}),
        ("mig", {"cpu": "192", "memory": "2359296Mi", "nvidia.com/mig-2g.10gb": "48"}),
        (
            "time slicing",
            {"cpu": "16", "memory": "65536Mi", "nvidia.com/gpu.shared": "16"},
        ),
        (
            "neuron",
            {"cpu": "16", "memory": "65536Mi", "aws.amazon.com/neuron": "4"},
        ),
    ],
)
def test_limits_are_those_of_the_gpus(case: str, wanted: dict[str, str]) -> None:
    assert spec(CASES[case])["limits"] == wanted


def test_gpu_nodes_are_kept_for_those_who_ask_for_gpus() -> None:
    template = spec(CASES["several types"])["template"]
    assert template["spec"]["taints"] == [
        {"key": "example.com/only", "effect": "NoExecute"},
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},
    ]
    assert template["metadata"]["labels"] == {
        "example.com/team": "a",
        "slipway.dev/pool": "gpu",
        "slipway.dev/accelerator": "l40s",
        "slipway.dev/gpu-layout": "whole",
    }


@pytest.mark.parametrize(
    ("change", "after", "policy"),
    [
        ({}, "300s", "WhenEmpty"),
        ({"model_load_seconds": 900}, "900s", "WhenEmpty"),
        ({"model_load_seconds": 10}, "300s", "WhenEmpty"),
        (
            {"consolidate_after_seconds": 400, "consolidation": "when_underutilized"},
            "400s",
            "WhenEmptyOrUnderutilized",
        ),
    ],
)
def test_a_loading_model_is_not_moved(
    change: dict[str, Any], after: str, policy: str
) -> None:
    found = spec({**pools.ELASTIC, **change})["disruption"]
    assert (found["consolidateAfter"], found["consolidationPolicy"]) == (after, policy)
    assert {"nodes": "1", "reasons": ["Underutilized", "Drifted"]} in found["budgets"]


def test_nodes_without_gpus_are_packed() -> None:
    found = spec(CASES["cpu"])["disruption"]
    assert found["consolidationPolicy"] == "WhenEmptyOrUnderutilized"


@pytest.mark.parametrize(
    ("case", "slices"),
    [
        ("mig", {"nvidia.com/gpu": "0", "nvidia.com/mig-2g.10gb": "24"}),
        ("time slicing", {"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "4"}),
    ],
)
def test_karpenter_is_reported_of_slices(case: str, slices: dict[str, str]) -> None:
    assert spec(CASES[case], "NodeOverlay")["capacity"] == slices
    assert "NodeOverlay" not in pools.objects(pools.ELASTIC)


def test_new_mig_nodes_cut_their_gpus() -> None:
    text = spec(CASES["mig"], "EC2NodeClass")["userData"]
    parts = [p for p in email.message_from_string(text).walk() if not p.is_multipart()]
    assert "2g.10gb,2g.10gb,2g.10gb " in str(parts[0].get_payload())
    assert "userData" not in spec(pools.ELASTIC, "EC2NodeClass")


def test_only_elastic_pools_are_karpenters() -> None:
    chosen = {"system": pools.pool(pools.SYSTEM), "gpu": pools.pool(pools.ELASTIC)}
    found = rendered(lambda: NodePools("pools", chosen, pools.KARPENTER)).manifests
    assert {(m["kind"], m["metadata"]["name"]) for m in found} == {
        ("EC2NodeClass", "gpu"),
        ("NodePool", "gpu"),
    }


def test_a_workload_knows_how_to_get_onto_a_pool() -> None:
    found = pool_nodes.placement("gpu", pools.pool(CASES["time slicing"]))
    assert found.node_selector == {"slipway.dev/pool": "gpu"}
    assert found.tolerations == [
        {
            "key": "nvidia.com/gpu",
            "operator": "Equal",
            "value": "present",
            "effect": "NoSchedule",
        }
    ]
    assert found.resource == "nvidia.com/gpu.shared"
    assert found.resources == {"g6.xlarge": 4}
