"""Every IAM policy that the layer `cluster` would make: parliament and own rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slipway.rendering.render import Rendered, render
from tests.support import iam, iam_lint
from toolchain import paths

STACKS = sorted(
    file.name.removeprefix("Pulumi.").removesuffix(".yaml")
    for file in (paths.ROOT / "stacks" / "config").glob("Pulumi.cluster.*.yaml")
)
_cache: dict[str, Rendered] = {}
AWS_MANAGED = {
    "AmazonEKSClusterPolicy",
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEC2ContainerRegistryPullOnly",
}
"""What roles are given of AWS's own policies; none of them writes to data."""
INLINE_CHARACTERS = 10240
TRUST_CHARACTERS = 2048
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


def rendering(stack: str) -> Rendered:
    if stack not in _cache:
        _cache[stack] = render(stack)
    return _cache[stack]


def test_there_are_stacks_to_look_at() -> None:
    assert {"cluster.dev", "cluster.prod"} <= set(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_parliament_finds_nothing_of_medium_severity_or_higher(stack: str) -> None:
    policies = iam.policies(rendering(stack))
    assert {p.kind for p in policies} == {"identity", "trust", "resource"}
    assert iam_lint.findings(policies) == []


@pytest.mark.parametrize("stack", STACKS)
def test_no_policy_is_wider_than_it_must_be(stack: str) -> None:
    policies = iam.policies(rendering(stack))
    assert len(policies) >= 15
    assert [why for p in policies for why in iam.too_wide(p)] == []


@pytest.mark.parametrize("stack", STACKS)
def test_roles_are_given_few_of_awss_own_policies(stack: str) -> None:
    assert iam.attached(rendering(stack)) <= AWS_MANAGED


@pytest.mark.parametrize("stack", STACKS)
def test_policies_fit_into_what_iam_takes(stack: str) -> None:
    for resource in rendering(stack).cloud:
        inputs = resource["inputs"]
        if resource["type"] == "aws:iam/rolePolicy:RolePolicy":
            assert len(inputs["policy"]) <= INLINE_CHARACTERS, resource["name"]
        if resource["type"] == "aws:iam/role:Role":
            assert len(inputs["assumeRolePolicy"]) <= TRUST_CHARACTERS
            assert "inlinePolicies" not in inputs
            assert "managedPolicyArns" not in inputs


@pytest.mark.parametrize("stack", STACKS)
def test_statements_have_ids_of_their_own(stack: str) -> None:
    for policy in iam.policies(rendering(stack)):
        ids = [s["Sid"] for s in policy.statements]
        assert len(set(ids)) == len(ids), policy.name


def bad(**change: Any) -> iam.Policy:
    statement = {
        "Sid": "Bad",
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::bucket/*"],
        **change,
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return iam.Policy("bad", "identity", document)


def test_parliament_would_see_what_is_wrong() -> None:
    wrong = {
        "RESOURCE_MISMATCH": bad(Action=["s3:ListBucket"]),
        "UNKNOWN_ACTION": bad(Action=["s3:GetObjct"]),
        "UNKNOWN_CONDITION_FOR_ACTION": bad(
            Condition={"StringEquals": {"kms:ViaService": "x"}}
        ),
        "INVALID_ARN": bad(Resource=["arn:aws:s3:bucket"]),
    }
    # One run for all, distinguished by name: most of a run's time is its start.
    named = [replace(policy, name=issue) for issue, policy in wrong.items()]
    findings = iam_lint.findings([*named, replace(bad(), name="good")])
    for issue in wrong:
        found = [f["issue"] for f in findings if f["policy"] == issue]
        assert issue in found, (issue, found)
    assert [f for f in findings if f["policy"] == "good"] == []
