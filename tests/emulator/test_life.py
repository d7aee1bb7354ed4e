"""A stack's whole life in an emulated account, in order: each test goes on from the
one before. What the emulator cannot judge is in tests/support/aws/not_judged.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.cluster.iam import names
from components.cluster.iam.arns import Arns
from components.cluster.nodes import pool_nodes
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.storage import storage_names
from slipway.rendering.render import render
from slipway.stack_files import load
from slipway.teardown.protection import ProtectedError
from tests.emulator.conftest import Life, given_roles
from tests.support.aws.look import Look, tags

ALL_LOGS = {"api", "audit", "authenticator", "controllerManager", "scheduler"}
GPU_TAINT = {"key": "nvidia.com/gpu", "effect": "NO_SCHEDULE"}


def look(life: Life) -> Look:
    return Look(life.account, life.settings.cluster.name)


def arns(life: Life) -> Arns:
    return Arns(life.settings.account.id, life.settings.account.region)


def declared(life: Life) -> Any:
    """What the program declares, by a render with the settings as they are."""
    stack = life.world.stack
    return render(stack, load(stack, life.world.root)["config"]).resources


def managed(life: Life) -> dict[str, Any]:
    """Pools that are managed node groups."""
    pools = life.settings.pools.items()
    return {name: pool for name, pool in pools if not isinstance(pool, ElasticPool)}


def test_a_first_up_makes_all_that_is_declared(life: Life) -> None:
    made = life.world.up()
    assert made.changes == {"create": len(declared(life)) + 1}
    assert made.outputs["name"] == life.settings.cluster.name
    assert made.outputs["vpc"] == look(life).vpc["VpcId"]


def test_each_zone_has_its_subnets_and_its_own_way_out(life: Life) -> None:
    found, network = look(life), life.settings.network
    zones = [subnet["AvailabilityZone"] for subnet in found.subnets]
    assert {zone: zones.count(zone) for zone in network.zones} == dict.fromkeys(
        network.zones, len(found.subnets) // len(network.zones)
    )
    nats = {nat["NatGatewayId"]: nat["SubnetId"] for nat in found.nats}
    zone_of = {s["SubnetId"]: s["AvailabilityZone"] for s in found.subnets}
    assert len(nats) == {"per_zone": len(network.zones), "single": 1}[network.nat]
    ways: dict[str, set[str]] = {}
    for subnet in found.subnets:
        assert not subnet["MapPublicIpOnLaunch"]
        kind = tags(subnet)["Name"].removeprefix(f"{found.name}-").partition("-")[0]
        way = found.way_out(subnet["SubnetId"])
        ways.setdefault(kind, set()).add((way or "none").partition("-")[0])
        if kind == "private" and network.nat == "per_zone":
            assert way is not None
            assert zone_of[nats[way]] == subnet["AvailabilityZone"]
    assert ways == {"private": {"nat"}, "intra": {"none"}, "public": {"igw"}}


def test_the_network_is_closed_and_recorded(life: Life) -> None:
    found, network = look(life), life.settings.network
    (default,) = [g for g in found.security_groups if g["GroupName"] == "default"]
    assert default["IpPermissions"] == default["IpPermissionsEgress"] == []
    services = {e["ServiceName"].split(".", 3)[3] for e in found.endpoints}
    assert services == set(network.endpoints)
    for endpoint in found.endpoints:
        if endpoint["VpcEndpointType"] == "Interface":
            assert endpoint["PrivateDnsEnabled"]
            assert len(endpoint["SubnetIds"]) == len(network.zones)
    logs = found.ec2.describe_flow_logs()["FlowLogs"]
    wanted = (found.vpc["VpcId"], network.flow_logs.traffic.upper())
    assert [(log["ResourceId"], log["TrafficType"]) for log in logs] == (
        [wanted] if network.flow_logs.enabled else []
    )


def test_the_cluster_is_private_encrypted_and_logged(life: Life) -> None:
    found, chosen = look(life), life.settings.cluster
    cluster, network = found.cluster, found.cluster["resourcesVpcConfig"]
    assert cluster["version"] == chosen.version
    assert network["endpointPrivateAccess"]
    assert network["endpointPublicAccess"] is bool(chosen.public_access_cidrs)
    assert network.get("publicAccessCidrs", []) == list(chosen.public_access_cidrs)
    ((encryption),) = cluster["encryptionConfig"]
    assert encryption["resources"] == ["secrets"]
    assert found.key(encryption["provider"]["keyArn"])["Rotates"]
    (logging,) = cluster["logging"]["clusterLogging"]
    assert logging["enabled"]
    assert set(logging["types"]) == ALL_LOGS
    group = f"/aws/eks/{chosen.name}/cluster"
    (kept,) = life.account.client("logs").describe_log_groups(logGroupNamePrefix=group)[
        "logGroups"
    ]
    assert kept["retentionInDays"] == chosen.log_retention_days
    assert found.key(kept["kmsKeyId"])["Rotates"]


def test_what_the_emulator_forgets_of_a_cluster_was_sent(life: Life) -> None:
    chosen = life.settings.cluster
    # Twice: each emulator gets the whole cluster.
    for sent in life.world.sent("eks:CreateCluster"):
        assert sent["accessConfig"] == {
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": False,
        }
        assert sent["bootstrapSelfManagedAddons"] is False
        assert sent["deletionProtection"] is chosen.deletion_protection
        assert sent["zonalShiftConfig"] == {"enabled": chosen.zonal_shift}
        assert sent["upgradePolicy"] == {"supportType": "STANDARD"}


def test_access_is_by_entries_of_named_roles_only(life: Life) -> None:
    chosen, account = life.settings.cluster, arns(life)
    nodes = account.role(names.node_role(chosen.name))
    assert look(life).access == {
        **{role: ["AmazonEKSClusterAdminPolicy"] for role in chosen.administrators},
        **{role: ["AmazonEKSViewPolicy"] for role in chosen.viewers},
        nodes: [],
    }


def test_each_service_account_has_a_role_of_its_own(life: Life) -> None:
    found = look(life).pod_identities
    chosen = life.settings.identities.values()
    wanted = {(one.namespace, one.service_account) for one in chosen}
    assert wanted | {("kube-system", "aws-node")} <= set(found)
    assert len(set(found.values())) == len(found)


def test_add_ons_have_pinned_versions(life: Life) -> None:
    found = look(life)
    listed = found.rest.list_addons(clusterName=found.name)["addons"]
    assert {"vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent"} <= set(listed)
    for name in listed:
        addon = found.addon(name)
        assert "-eksbuild." in addon["addonVersion"]
    network = json.loads(found.addon("vpc-cni")["configurationValues"])
    assert network["enableNetworkPolicy"] == "true"


def test_managed_pools_are_node_groups_of_their_size(life: Life) -> None:
    found = look(life)
    groups = found.node_groups
    assert set(groups) == set(managed(life))
    zone_of = {s["SubnetId"]: s["AvailabilityZone"] for s in found.subnets}
    for name, pool in managed(life).items():
        scaling = groups[name]["scalingConfig"]
        assert (scaling["minSize"], scaling["maxSize"]) == (
            pool.min_nodes,
            pool.max_nodes,
        )
        used = {zone_of[subnet] for subnet in groups[name]["subnets"]}
        assert used == set(pool_nodes.zones(pool, life.settings.network.zones))
        assert groups[name]["releaseVersion"] not in ("", "latest")
        gpu_types = [t for t in pool.instance_types if t[0] in "gp"]
        taints = [GPU_TAINT.items() <= t.items() for t in groups[name]["taints"]]
        assert any(taints) is bool(gpu_types)


def test_nodes_start_with_imdsv2_at_one_hop_and_an_encrypted_disk(life: Life) -> None:
    found = look(life)
    for name in managed(life):
        data = found.template(name)
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        for mapping in data["BlockDeviceMappings"]:
            assert mapping["Ebs"]["Encrypted"]
            assert mapping["Ebs"]["VolumeType"] == "gp3"
        own = life.world.settings["account"].get("tags") or {}
        for made in data["TagSpecifications"]:
            tags_found = tags(made)
            assert tags_found["slipway.dev/cluster"] == found.name
            assert own.items() <= tags_found.items()


def test_interruptions_reach_the_autoscaler(life: Life) -> None:
    if not any(isinstance(p, ElasticPool) for p in life.settings.pools.values()):
        pytest.skip("the stack has no elastic pool")
    sqs, events = life.account.client("sqs"), life.account.client("events")
    queue = names.interruption_queue(life.settings.cluster.name)
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    has = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert has["SqsManagedSseEnabled"] == "true"
    assert "events.amazonaws.com" in has["Policy"]
    heard = set()
    for rule in events.list_rules()["Rules"]:
        pattern = json.loads(rule["EventPattern"])
        heard |= set(pattern["detail-type"])
        (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        assert target["Arn"] == has["QueueArn"]
    assert {
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
        "AWS Health Event",
    } <= heard


def test_buckets_are_closed_versioned_encrypted_and_tidied(life: Life) -> None:
    s3, cluster = life.account.client("s3"), life.settings.cluster.name
    for purpose in (storage_names.MODELS, storage_names.PREDICTIONS):
        name = storage_names.bucket(cluster, purpose, arns(life))
        block = s3.get_public_access_block(Bucket=name)
        assert set(block["PublicAccessBlockConfiguration"].values()) == {True}
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        (rule,) = s3.get_bucket_encryption(Bucket=name)[
            "ServerSideEncryptionConfiguration"
        ]["Rules"]
        by = rule["ApplyServerSideEncryptionByDefault"]
        assert by["SSEAlgorithm"] == "aws:kms"
        assert look(life).key(by["KMSMasterKeyID"])["Rotates"]
        policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
        denied = [s for s in policy["Statement"] if s["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [
            statement.get("Condition") for statement in denied
        ]
        assert s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]


def test_repositories_are_immutable_and_scanned(life: Life) -> None:
    ecr, chosen = life.account.client("ecr"), life.settings
    found = ecr.describe_repositories()["repositories"]
    assert {one["repositoryName"] for one in found} == {
        f"{chosen.cluster.name}/{name}" for name in chosen.storage.repositories
    }
    for one in found:
        assert one["imageTagMutability"] == "IMMUTABLE"
        assert one["imageScanningConfiguration"] == {"scanOnPush": True}
        assert ecr.get_lifecycle_policy(repositoryName=one["repositoryName"])


def test_all_that_takes_tags_says_whose_it_is(life: Life) -> None:
    wanted = {
        "slipway.dev/cluster": life.settings.cluster.name,
        "slipway.dev/stack": life.world.stack,
        **life.settings.account.tags,
    }
    tagging = life.account.client("resourcegroupstaggingapi")
    pages = tagging.get_paginator("get_resources").paginate()
    found = [one for page in pages for one in page["ResourceTagMappingList"]]
    assert len(found) > 20
    bare = {
        one["ResourceARN"].rpartition("/")[2]
        for one in found
        if not wanted.items() <= tags(one).items()
    }
    # AWS's own group of the cluster has AWS's own tags.
    assert bare <= {look(life).cluster_group}


def test_a_second_up_changes_nothing(life: Life) -> None:
    life.world.provider.calls.clear()
    life.world.provider.sent.clear()
    assert set(life.world.up().changes) == {"same"}
    assert life.world.provider.calls == []
    assert life.world.provider.sent == []


def test_updates_replace_nothing(life: Life) -> None:
    pool = next(iter(managed(life)))
    size = managed(life)[pool].max_nodes + 1

    def edit(content: dict[str, Any]) -> None:
        content["account"].setdefault("tags", {})["cost-center"] = "4711"
        content["pools"][pool]["max_nodes"] = size
        content["cluster"]["log_retention_days"] = 180
        log = content.setdefault("storage", {}).setdefault("prediction_log", {})
        log["retention_days"] = 401

    life.world.change(edit)
    changes = life.world.up().changes
    assert set(changes) == {"same", "update"}, "more than updates"
    found = look(life)
    assert found.node_groups[pool]["scalingConfig"]["maxSize"] == size
    assert tags(found.vpc)["cost-center"] == "4711"
    group = found.rest.describe_nodegroup(clusterName=found.name, nodegroupName=pool)
    tags_found = found.rest.list_tags_for_resource(
        resourceArn=group["nodegroup"]["nodegroupArn"]
    )
    assert tags_found["tags"]["cost-center"] == "4711"
    logs = life.account.client("logs").describe_log_groups(
        logGroupNamePrefix=f"/aws/eks/{found.name}/cluster"
    )
    assert logs["logGroups"][0]["retentionInDays"] == 180
    bucket = storage_names.bucket(found.name, storage_names.PREDICTIONS, arns(life))
    rules = life.account.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)
    assert 401 in [rule.get("Expiration", {}).get("Days") for rule in rules["Rules"]]


def test_destroy_refuses_what_is_protected(life: Life) -> None:
    def protect(content: dict[str, Any]) -> None:
        content["cluster"]["deletion_protection"] = True
        content.setdefault("storage", {})["protect"] = True

    life.world.change(protect)
    assert set(life.world.up().changes) <= {"same", "update"}
    before = life.left()
    life.world.provider.calls.clear()
    with pytest.raises(ProtectedError) as refused:
        life.world.take_down()
    assert "cluster.deletion_protection: false" in str(refused.value)
    assert "storage.protect: false" in str(refused.value)
    assert life.world.done("delete") == []
    assert life.left() == before


def test_without_protection_a_destroy_leaves_nothing(life: Life) -> None:
    def release(content: dict[str, Any]) -> None:
        # A production stack has to be protected, so it stops being one first.
        content["account"]["production"] = False
        content["cluster"]["deletion_protection"] = False
        content.setdefault("storage", {})["protect"] = False

    life.world.change(release)
    assert set(life.world.up().changes) <= {"same", "update"}
    gone = life.world.take_down().changes
    assert set(gone) == {"delete"}
    assert life.left() == {}
    roles = life.account.client("iam").list_roles()["Roles"]
    assert {role["Arn"] for role in roles} >= set(given_roles(life.settings))
