"""checkov on the AWS resources of the layer `cluster`, written as Terraform for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from slipway.rendering.recorder import plain
from slipway.rendering.render import Rendered, render
from tests.support import checkov, terraform
from toolchain import paths

STACKS = sorted(
    file.name.removeprefix("Pulumi.").removesuffix(".yaml")
    for file in (paths.ROOT / "stacks" / "config").glob("Pulumi.cluster.*.yaml")
)
ACCEPTED = {
    # What happens to weights and logs is asked of nobody by an event.
    "CKV2_AWS_62": {"aws_s3_bucket.*"},
    # Weights come from a build that can be run again; a second region is not a promise.
    "CKV_AWS_144": {"aws_s3_bucket.*"},
    # S3 writes its access log with no key but its own:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    "CKV_AWS_145": {"aws_s3_bucket.storage-access"},
    # The access log's own accesses would be logged without end.
    "CKV_AWS_18": {"aws_s3_bucket.storage-access"},
    # Connections are kept as long as the settings say, 90 days unless they say more;
    # a year is kept of what the control plane does.
    "CKV_AWS_338": {"aws_cloudwatch_log_group.network-flow-logs"},
}
"""Checks that fail for a reason, and the resources for which they may."""
CHOSEN = {
    # A cluster to try things in is reached from an office, keeps logs for days, and
    # records no connections: its settings say so, and production refuses the like.
    "cluster.dev": {
        ("CKV_AWS_39", "aws_eks_cluster.eks"),
        ("CKV_AWS_338", "aws_cloudwatch_log_group.eks-logs"),
        ("CKV2_AWS_11", "aws_vpc.network"),
    },
}
"""What a stack's own settings ask for."""
MUTANT = "mutant"
MUTATIONS = {
    r"endpoint_public_access = false": "endpoint_public_access = true",
    r"enable_key_rotation = true": "enable_key_rotation = false",
    r'resources = \["secrets"\]': "resources = []",
    r'http_tokens = "required"': 'http_tokens = "optional"',
    r'image_tag_mutability = "IMMUTABLE"': 'image_tag_mutability = "MUTABLE"',
    r"restrict_public_buckets = true": "restrict_public_buckets = false",
}
KILLED_BY = {
    "CKV_AWS_39",
    "CKV_AWS_7",
    "CKV_AWS_58",
    "CKV_AWS_79",
    "CKV_AWS_51",
    "CKV_AWS_56",
}
"""The checks that must see each of the mutations."""

Report = dict[str, Any]


def mutated(text: str) -> str:
    """The file with faults that checkov must find, to see that it looks."""
    for pattern, fault in MUTATIONS.items():
        text, count = re.subn(pattern, fault, text)
        assert count, pattern
    return text


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One run over all stacks and the mutant: most of its time is its start."""
    folder = tmp_path_factory.mktemp("terraform")
    texts = {stack: terraform.written(render(stack)) for stack in STACKS}
    for name, text in {**texts, MUTANT: mutated(texts["cluster.prod"])}.items():
        (folder / name).mkdir()
        (folder / name / "main.tf").write_text(text)
    return checkov.terraform(folder)


def failed(report: Report, where: str) -> set[tuple[str, str]]:
    """Check and resource of what failed in a stack."""
    return {
        (one["check_id"], one["resource"])
        for one in report["results"]["failed_checks"]
        if Path(one["file_path"]).parent.name == where
    }


def accepted(check: str, resource: str) -> bool:
    kind = resource.partition(".")[0]
    return bool(ACCEPTED.get(check, set()) & {resource, f"{kind}.*"})


@pytest.mark.parametrize("stack", STACKS)
def test_checkov_finds_only_what_is_accepted(report: Report, stack: str) -> None:
    found = failed(report, stack)
    assert {f for f in found if not accepted(*f)} == CHOSEN.get(stack, set())


def test_all_of_it_was_looked_at(report: Report) -> None:
    assert report["results"]["parsing_errors"] == []
    passed = [
        one
        for one in report["results"]["passed_checks"]
        if Path(one["file_path"]).parent.name == "cluster.prod"
    ]
    assert len(passed) >= 200
    kinds = {one["resource"].partition(".")[0] for one in passed}
    assert {"aws_eks_cluster", "aws_kms_key", "aws_s3_bucket", "aws_vpc"} <= kinds


def test_what_is_accepted_is_still_found(report: Report) -> None:
    assert {check for check, _ in failed(report, "cluster.prod")} == set(ACCEPTED)


def test_checkov_would_see_a_fault(report: Report) -> None:
    more = failed(report, MUTANT) - failed(report, "cluster.prod")
    assert {check for check, _ in more} >= KILLED_BY


def resources(*entries: tuple[str, str, dict[str, Any]]) -> Rendered:
    """A rendering of these: type, name, inputs."""
    from slipway.rendering.recorder import Resource

    return Rendered(
        "cluster.test",
        tuple(
            Resource(f"urn::{t}::{n}", t, n, plain(inputs), custom=True)
            for t, n, inputs in entries
        ),
        {},
    )


def test_terraform_is_what_pulumi_said() -> None:
    found = resources(
        ("aws:ec2/vpc:Vpc", "net", {"cidrBlock": "10.0.0.0/16", "tags": {"a": "b"}}),
        ("aws:ec2/subnet:Subnet", "net", {"vpcId": "net-id"}),
        (
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
            "log",
            {"rules": [{"id": "x", "expiration": {"days": 3}}], "bucket": "b-${c}"},
        ),
    )
    assert terraform.written(found) == (
        'resource "aws_vpc" "net" {\n'
        '  cidr_block = "10.0.0.0/16"\n'
        '  tags = {"a": "b"}\n'
        "}\n"
        "\n"
        'resource "aws_subnet" "net" {\n'
        "  vpc_id = aws_vpc.net.id\n"
        "}\n"
        "\n"
        'resource "aws_s3_bucket_lifecycle_configuration" "log" {\n'
        '  bucket = "b-$${c}"\n'
        "  rule {\n"
        "    expiration {\n"
        "      days = 3\n"
        "    }\n"
        '    id = "x"\n'
        "  }\n"
        "}\n"
    )
