"""The stacks cluster.dev and cluster.prod as wholes: order, tags, protection, names."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from components.cluster.existing.outputs import ClusterOutputs
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered, render
from tests.support.rendered import IMAGES

STACKS = ("cluster.dev", "cluster.prod")
UNTAGGED = {
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:ec2/route:Route",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:kms/alias:Alias",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketLogging:BucketLogging",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    (
        "aws:s3/bucketServerSideEncryptionConfiguration:"
        "BucketServerSideEncryptionConfiguration"
    ),
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:sqs/queuePolicy:QueuePolicy",
}
"""Types that AWS puts no tags on."""
HOLDS_DATA = {
    "aws:eks/cluster:Cluster",
    "aws:ecr/repository:Repository",
    "aws:kms/key:Key",
    "aws:s3/bucket:Bucket",
}


@functools.cache
def stack(name: str) -> Rendered:
    return render(name, images=IMAGES)


def of_aws(name: str) -> list[Resource]:
    return [r for r in stack(name).resources if r.type.startswith("aws:")]


def named(found: Rendered, kind: str, part: str = "") -> list[Resource]:
    """Resources of a kind with this in their names."""
    return [
        r for r in found.resources if r.type.endswith(f":{kind}") and part in r.name
    ]


def waits_for(found: Rendered, resource: Resource) -> set[str]:
    """URNs of all that is made before the resource, and deleted after it.

    A child comes after its parent, and a parent after what it was told to wait for.
    """
    by_urn = {r.urn: r for r in found.resources}
    waiting, seen = [resource.urn], set[str]()
    while waiting:
        urn = waiting.pop()
        if urn in seen or urn not in by_urn:
            continue
        seen.add(urn)
        waiting += [*by_urn[urn].depends_on, by_urn[urn].parent]
    return seen - {resource.urn}


@pytest.mark.parametrize("name", STACKS)
def test_every_resource_is_made_by_the_one_provider(name: str) -> None:
    (provider,) = named(stack(name), "aws")
    assert provider.type == "pulumi:providers:aws"
    assert json.loads(provider.inputs["allowedAccountIds"]) == ["111122223333"]
    assert provider.inputs["region"] == "us-east-1"
    tags = json.loads(provider.inputs["defaultTags"])["tags"]
    assert tags["slipway.dev/stack"] == name
    assert tags["environment"] == name.partition(".")[2]
    found = of_aws(name)
    assert len(found) > 90
    for resource in found:
        assert resource.provider.startswith(f"{provider.urn}::"), resource.urn


@pytest.mark.parametrize("name", STACKS)
def test_every_resource_belongs_to_a_component(name: str) -> None:
    components = {r.urn for r in stack(name).resources if not r.custom}
    by_urn = {r.urn: r for r in stack(name).resources}
    for resource in of_aws(name):
        above = resource
        while above.custom:
            assert above.parent in by_urn, resource.urn
            above = by_urn[above.parent]
        assert above.urn in components


@pytest.mark.parametrize("name", STACKS)
def test_every_resource_says_whose_it_is(name: str) -> None:
    cluster = stack(name).outputs["name"]
    for resource in of_aws(name):
        if resource.type in UNTAGGED:
            assert "tags" not in resource.inputs, resource.type
            continue
        tags = resource.inputs["tags"]
        assert tags["slipway.dev/cluster"] == cluster, resource.urn
        assert tags["Name"], resource.urn


@pytest.mark.parametrize("name", STACKS)
def test_nodes_come_after_all_that_they_start_with_and_go_before_it(name: str) -> None:
    found = stack(name)
    groups = named(found, "NodeGroup", "pool-")
    groups = [g for g in groups if g.custom]
    assert groups
    (cluster,) = named(found, "Cluster")
    first = {a.urn for a in named(found, "Addon", "addons-before-nodes")}
    assert len(first) == 3
    rights = {r.urn for r in named(found, "RolePolicyAttachment", "nodes-")}
    assert len(rights) == 2
    (entry,) = [e for e in named(found, "AccessEntry") if "autoscaler" in e.name]
    routes = {r.urn for r in named(found, "Route") if "private" in r.name}
    assert len(routes) >= 2
    for group in groups:
        before = waits_for(found, group)
        assert {cluster.urn, entry.urn, *first, *rights} <= before
        assert routes & before, "a node without a way to the registry never joins"


@pytest.mark.parametrize("name", STACKS)
def test_what_runs_on_nodes_comes_after_the_system_pool(name: str) -> None:
    found = stack(name)
    (system,) = [g for g in named(found, "NodeGroup", "system") if g.custom]
    after = named(found, "Addon", "addons-after-nodes")
    assert len(after) == 3
    for addon in after:
        assert system.urn in waits_for(found, addon)


@pytest.mark.parametrize("name", STACKS)
def test_the_cluster_goes_before_its_network_keys_and_log(name: str) -> None:
    found = stack(name)
    (cluster,) = named(found, "Cluster")
    before = waits_for(found, cluster)
    kinds = {urn.split("::")[2].rpartition("$")[2] for urn in before}
    assert {
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:kms/key:Key",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    } <= kinds
    associations = named(found, "PodIdentityAssociation")
    assert len(associations) >= 4
    for association in associations:
        assert cluster.urn in waits_for(found, association)


def test_production_protects_what_holds_data_and_a_throwaway_nothing() -> None:
    for resource in of_aws("cluster.prod"):
        if resource.type in HOLDS_DATA:
            assert resource.protect, resource.urn
    assert [r.urn for r in stack("cluster.dev").resources if r.protect] == []


@pytest.mark.parametrize("name", STACKS)
def test_the_outputs_are_those_that_other_stacks_read(name: str) -> None:
    outputs = stack(name).outputs
    assert set(outputs) == set(ClusterOutputs.names())
    assert all(outputs[n] is not None for n in outputs)


def statements(resource: Resource) -> Iterator[dict[str, Any]]:
    yield from json.loads(resource.inputs["policy"])["Statement"]


def test_rights_name_what_the_stack_makes() -> None:
    base = {
        "account": {"id": "111122223333", "region": "us-east-1"},
        "cluster": {
            "name": "blue",
            "version": "1.35",
            "administrators": ["arn:aws:iam::111122223333:role/x"],
        },
        "network": {"cidr": "10.20.0.0/16", "zones": ["us-east-1a", "us-east-1b"]},
        "pools": {"system": {"kind": "system", "instance_types": ["m7a.large"]}},
        "storage": {"repositories": ["team/model"]},
        "identities": {
            "writer": {
                "namespace": "models",
                "service_account": "writer",
                "models": "write",
                "prediction_logs": "write",
                "repositories": {"team/model": "push"},
            }
        },
    }
    found = render("cluster.test", config=base)
    (rights,) = named(found, "RolePolicy", "identity-writer")
    named_there = {
        arn.removesuffix("/*")
        for statement in statements(rights)
        for arn in statement["Resource"]
        if arn.startswith(("arn:aws:s3", "arn:aws:ecr"))
    }
    made = {f"arn:aws:s3:::{b.inputs['bucket']}" for b in named(found, "Bucket")} | {
        f"arn:aws:ecr:us-east-1:111122223333:repository/{r.inputs['name']}"
        for r in named(found, "Repository")
    }
    assert len(named_there) == 3
    assert named_there <= made


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_karpenters_halves_know_each_other(environment: str) -> None:
    """No look-up joins them, so that the names must agree."""
    cluster = stack(f"cluster.{environment}")
    platform = stack(f"platform.{environment}")
    objects = {(m["kind"], m["metadata"]["name"]): m for m in platform.manifests}
    (queue,) = named(cluster, "Queue")
    (profile,) = named(cluster, "InstanceProfile")
    (identity,) = [
        a for a in named(cluster, "PodIdentityAssociation") if "autoscaler" in a.name
    ]
    controller = objects["Deployment", "karpenter"]
    pod = controller["spec"]["template"]["spec"]
    environment_of = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
    assert environment_of["CLUSTER_NAME"] == cluster.outputs["name"]
    assert environment_of["INTERRUPTION_QUEUE"] == queue.inputs["name"]
    assert identity.inputs["namespace"] == controller["metadata"]["namespace"]
    assert identity.inputs["serviceAccount"] == pod["serviceAccountName"]
    classes = [m for (kind, _), m in objects.items() if kind == "EC2NodeClass"]
    assert classes
    subnets = [s.inputs["tags"] for s in named(cluster, "Subnet")]
    for node_class in classes:
        spec = node_class["spec"]
        assert spec["instanceProfile"] == profile.inputs["name"]
        assert "role" not in spec
        for term in spec["subnetSelectorTerms"]:
            matching = [t for t in subnets if term["tags"].items() <= t.items()]
            assert len(matching) >= 2
