"""Roles of nodes and of service accounts: who may assume them, and what they may."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from components.cluster import identity_settings, workload_policies
from components.cluster.eks import Eks
from components.cluster.iam import names
from components.cluster.iam.identity import NodeRole, PodIdentity
from components.cluster.iam.policy_document import (
    Condition,
    PolicyDocument,
    Statement,
    equals,
)
from components.cluster.identity_settings import WorkloadIdentity
from components.settings import SettingsError, parse
from slipway.rendering.render import Rendered
from tests.support import eks, iam
from toolchain import paths

BASE = {"namespace": "models", "service_account": "employment"}


def identity(**rights: Any) -> WorkloadIdentity:
    return parse(WorkloadIdentity, {**BASE, **rights}, "test")


def policy(**rights: Any) -> dict[str, dict[str, Any]]:
    """The statements of a workload's policy by their ids."""
    document = workload_policies.workload(eks.ARNS, identity(**rights), "demo")
    return {s["Sid"]: s for s in document.rendered()["Statement"]}


def actions(**rights: Any) -> set[str]:
    return {action for s in policy(**rights).values() for action in s["Action"]}


def refused(**rights: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        identity(**rights)
    return [p.path for p in caught.value.problems]


@pytest.fixture(scope="module")
def nodes() -> Rendered:
    return eks.of_program(lambda: NodeRole("nodes", cluster="demo", arns=eks.ARNS))


def pod(after: bool = False) -> Rendered:
    def program() -> None:
        cluster = Eks(
            "eks", eks.settings(), arns=eks.ARNS, vpc_id=eks.VPC, subnets=["a", "b"]
        )
        document = workload_policies.workload(eks.ARNS, identity(models="read"), "demo")
        PodIdentity(
            "employment",
            arns=eks.ARNS,
            cluster="demo",
            namespace="models",
            service_account="employment",
            policy=document,
            after=[cluster.cluster] if after else [],
        )

    return eks.of_program(program)


def test_the_nodes_role_has_the_name_that_others_rest_on(nodes: Rendered) -> None:
    role = eks.named(nodes, "Role", "nodes").inputs
    assert role["name"] == names.node_role("demo") == "demo-node"
    assert role["tags"] == {"Name": "demo-node", "slipway.dev/cluster": "demo"}
    trust = json.loads(role["assumeRolePolicy"])["Statement"]
    assert [(s["Principal"], s["Action"]) for s in trust] == [
        ({"Service": ["ec2.amazonaws.com"]}, ["sts:AssumeRole"])
    ]


def test_nodes_pull_images_and_hand_out_identities_and_no_more(nodes: Rendered) -> None:
    assert iam.attached(nodes) == {
        "AmazonEKSWorkerNodeMinimalPolicy",
        "AmazonEC2ContainerRegistryPullOnly",
    }
    (inline,) = eks.of_type(nodes, "RolePolicy")
    allowed = {
        action
        for statement in json.loads(inline.inputs["policy"])["Statement"]
        for action in statement["Action"]
    }
    assert {a for a in allowed if a.startswith("ec2:")} == {
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceTypes",
    }
    assert all(
        a.startswith(("ssmmessages:", "ssm:UpdateInstanceInformation", "ec2:Describe"))
        for a in allowed
    )
    kinds = sorted(eks.short(r.urn).split()[0] for r in nodes.resources if r.custom)
    assert kinds == [
        "Role",
        "RolePolicy",
        "RolePolicyAttachment",
        "RolePolicyAttachment",
    ]


def test_what_starts_nodes_can_wait_for_their_rights() -> None:
    kept: list[NodeRole] = []
    found = eks.of_program(
        lambda: kept.append(NodeRole("nodes", cluster="demo", arns=eks.ARNS))
    )
    rights = len(eks.of_type(found, "RolePolicyAttachment")) + len(
        eks.of_type(found, "RolePolicy")
    )
    assert len(kept[0].rights) == rights == 3


def test_a_pods_role_is_for_one_service_account_of_one_cluster() -> None:
    found = pod()
    role = eks.named(found, "Role", "employment").inputs
    assert role["name"] == "demo-models-employment"
    (statement,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": ["pods.eks.amazonaws.com"]}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:SourceAccount": [eks.ACCOUNT],
            "aws:RequestTag/kubernetes-namespace": ["models"],
            "aws:RequestTag/kubernetes-service-account": ["employment"],
        },
        "ArnEquals": {
            "aws:SourceArn": [f"arn:aws:eks:eu-central-1:{eks.ACCOUNT}:cluster/demo"]
        },
    }


def test_the_association_comes_after_cluster_and_rights() -> None:
    found = pod(after=True)
    association = eks.named(found, "PodIdentityAssociation", "employment")
    assert association.inputs["clusterName"] == "demo"
    assert association.inputs["namespace"] == "models"
    assert association.inputs["serviceAccount"] == "employment"
    assert association.inputs["roleArn"].endswith("employment")
    assert "disableSessionTags" not in association.inputs  # its trust rests on them
    assert eks.named(found, "Cluster", "eks").urn in association.depends_on
    rights = eks.named(found, "RolePolicy", "employment-rights")
    assert rights.urn in association.depends_on


def test_long_names_are_cut_and_stay_apart() -> None:
    cluster, namespace = "c" * 40, "n" * 20
    one = names.pod_role(cluster, namespace, "reader-of-models")
    other = names.pod_role(cluster, namespace, "writer-of-models")
    assert len(one) == len(other) == 64
    assert one != other
    assert one == names.pod_role(cluster, namespace, "reader-of-models")
    assert names.pod_role("demo", "models", "employment") == "demo-models-employment"


def test_a_reader_of_models_reads_this_clusters_models() -> None:
    found = policy(models="read")
    bucket = f"arn:aws:s3:::demo-models-{eks.ACCOUNT}-eu-central-1"
    assert found["ReadModels"]["Resource"] == [f"{bucket}/*"]
    assert found["ListModels"]["Resource"] == [bucket]
    assert actions(models="read") == {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "kms:Decrypt",
    }
    for sid in ("ReadModels", "ListModels"):
        condition = found[sid]["Condition"]["StringEquals"]
        assert condition["aws:ResourceAccount"] == [eks.ACCOUNT]


def test_a_writer_of_models_puts_new_ones_and_deletes_none() -> None:
    more = actions(models="write") - actions(models="read")
    assert more == {
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
        "kms:GenerateDataKey",
    }


def test_a_log_is_appended_to_by_who_cannot_read_it() -> None:
    written = policy(prediction_logs="write")
    assert set(written) == {"WritePredictionLogs", "UseKeyOfBuckets"}
    assert "s3:GetObject" not in actions(prediction_logs="write")
    read = policy(prediction_logs="read")
    assert set(read) == {
        "ReadPredictionLogs",
        "ListPredictionLogs",
        "UseKeyOfBuckets",
    }
    assert read["UseKeyOfBuckets"]["Action"] == ["kms:Decrypt"]


def test_the_key_is_used_through_s3_and_known_by_its_alias() -> None:
    condition = policy(models="read")["UseKeyOfBuckets"]["Condition"]
    assert condition == {
        "StringEquals": {"kms:ViaService": ["s3.eu-central-1.amazonaws.com"]},
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/demo-data"]},
    }


def test_a_prefix_confines_to_what_lies_below_it() -> None:
    found = policy(models="read", prediction_logs="write", prefix="employment/")
    assert found["ReadModels"]["Resource"][0].endswith("/employment/*")
    assert found["WritePredictionLogs"]["Resource"][0].endswith("/employment/*")
    listed = found["ListModels"]["Condition"]["StringLike"]
    assert listed == {"s3:prefix": ["employment/*"]}


def test_images_are_pushed_only_where_it_is_said() -> None:
    found = policy(repositories={"employment": "push", "base": "pull"})
    of = f"arn:aws:ecr:eu-central-1:{eks.ACCOUNT}:repository/demo/"
    assert found["PullImages"]["Resource"] == [f"{of}base", f"{of}employment"]
    assert found["PushImages"]["Resource"] == [f"{of}employment"]
    assert "PushImages" not in policy(repositories={"base": "pull"})


def test_identities_that_make_no_sense_are_refused() -> None:
    assert refused() == ["service_account"]
    assert refused(models="read", namespace="kube-system") == ["namespace"]
    assert refused(models="read", prefix="employment/*") == ["prefix"]
    assert refused(repositories={"base": "pull"}, prefix="a/") == ["prefix"]
    assert refused(models="delete") == ["models"]


def test_identities_among_each_other() -> None:
    given = {
        "one": identity(models="read"),
        "two": identity(repositories={"base": "pull", "tools": "push"}),
    }
    found = list(identity_settings.problems(given, ["base"]))
    assert [p.path for p in found] == ["two.service_account", "two.repositories.tools"]
    assert "one has the same service account" in found[0].reason
    assert "base" in found[1].fix
    assert list(identity_settings.problems({"one": given["one"]}, [])) == []


def test_a_statement_that_says_a_key_twice_is_not_rendered() -> None:
    """The second would silently take the first's place."""
    twice = Statement("S", ("s3:GetObject",), conditions=(equals("k", "a"),) * 2)
    with pytest.raises(ValueError, match="StringEquals k is given twice"):
        twice.rendered()
    other = Condition("StringLike", "k", ("a",))
    both = Statement("S", ("s3:GetObject",), conditions=(equals("k", "a"), other))
    assert both.rendered()["Condition"] == {
        "StringEquals": {"k": ["a"]},
        "StringLike": {"k": ["a"]},
    }


@pytest.mark.parametrize(
    ("region", "beginning"),
    [("cn-north-1", "arn:aws-cn:"), ("us-gov-west-1", "arn:aws-us-gov:")],
)
def test_arns_of_other_partitions(region: str, beginning: str) -> None:
    arns = type(eks.ARNS)(eks.ACCOUNT, region)
    assert arns.role("x").startswith(beginning)
    assert arns.bucket("x") == f"{beginning}s3:::x"


def mutant(**change: Any) -> list[str]:
    statement = {
        "Sid": "Mutant",
        "Effect": "Allow",
        "Action": ["ec2:DeleteVolume"],
        "Resource": ["arn:aws:ec2:eu-central-1:123456789012:volume/vol-1"],
        **change,
    }
    kind: iam.Kind = "trust" if "Principal" in change else "identity"
    return list(iam.too_wide(iam.Policy("m", kind, {"Statement": [statement]})))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"Action": ["ec2:*"]}, "iam-actions-are-named"),
        ({"Action": "*", "Resource": "*"}, "iam-actions-are-named"),
        ({"Action": ["ec2:Delete*"]}, "iam-actions-are-named"),
        ({"Resource": "*"}, "iam-changes-name-their-resources"),
        (
            {"Resource": ["arn:aws:ec2:x:1:volume/*"]},
            "iam-unnamed-resources-have-conditions",
        ),
        ({"Principal": {"AWS": ["*"]}}, "iam-principals-are-named"),
        (
            {"Principal": {"Service": ["eks.amazonaws.com"]}},
            "iam-services-act-for-one-account",
        ),
        ({"NotAction": ["iam:*"], "Action": []}, "iam-actions-are-named"),
    ],
)
def test_the_rules_see_what_is_too_wide(change: dict[str, Any], wanted: str) -> None:
    assert mutant() == []
    assert any(wanted in found for found in mutant(**change)), mutant(**change)


def test_a_document_is_rendered_as_aws_takes_it() -> None:
    document = PolicyDocument((Statement("S", ("s3:GetObject",), ("arn:x",)),))
    assert json.loads(document.json()) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "S",
                "Effect": "Allow",
                "Action": ["s3:GetObject"],
                "Resource": ["arn:x"],
            }
        ],
    }
    assert " " not in document.json()


def test_the_page_shows_identities_that_are_taken() -> None:
    page = paths.ROOT / "docs" / "how-to" / "identity.md"
    (block,) = [
        part.split("```")[0]
        for part in page.read_text().split("```yaml\n")[1:]
        if "identities:" in part
    ]
    given = yaml.safe_load(block)["identities"]
    assert given
    for raw in given.values():
        parse(WorkloadIdentity, raw, "docs/how-to/identity.md")
