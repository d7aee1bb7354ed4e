"""Policy documents of rendered resources, and the rules that each must keep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from slipway.render import Rendered

Kind = Literal["identity", "trust", "resource"]
_FIELDS: dict[tuple[str, str], Kind] = {
    ("aws:iam/role:Role", "assumeRolePolicy"): "trust",
    ("aws:iam/rolePolicy:RolePolicy", "policy"): "identity",
    ("aws:eks/podIdentityAssociation:PodIdentityAssociation", "policy"): "identity",
    ("aws:kms/key:Key", "policy"): "resource",
    ("aws:s3/bucketPolicy:BucketPolicy", "policy"): "resource",
    ("aws:sqs/queuePolicy:QueuePolicy", "policy"): "resource",
    ("aws:ecr/repositoryPolicy:RepositoryPolicy", "policy"): "resource",
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "policy"): "resource",
}
"""Where policies stand in what AWS's provider is given."""
NO_POLICY = {"aws:ecr/lifecyclePolicy:LifecyclePolicy"}
"""Has a field `policy` that is none of IAM's."""
READING = ("Describe", "List", "Get", "BatchGet")
"""How the names of actions begin that change nothing."""
NO_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}
"""Actions that AWS defines no narrower resource for, or none known beforehand.
https://docs.aws.amazon.com/service-authorization/latest/reference/"""


@dataclass(frozen=True)
class Policy:
    """One document, and whose it is."""

    name: str
    """Of the resource in the program and the field, for a file's name too."""
    kind: Kind
    document: dict[str, Any]

    @property
    def statements(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["Statement"]
        return found


def policies(rendered: Rendered) -> list[Policy]:
    """Every policy document that a rendered program would make."""
    found = []
    for resource in rendered.cloud:
        for field, value in resource["inputs"].items():
            if "policy" not in field.lower() or not isinstance(value, str):
                continue
            if resource["type"] in NO_POLICY or not value.startswith("{"):
                continue
            kind = _FIELDS[resource["type"], field]  # KeyError: a kind not known yet
            what = resource["type"].rpartition(":")[2]
            suffix = "trust" if kind == "trust" else what
            name = f"{resource['name']}.{suffix}"
            found.append(Policy(name, kind, json.loads(value)))
    assert len({p.name for p in found}) == len(found)
    return sorted(found, key=lambda p: p.name)


def attached(rendered: Rendered) -> set[str]:
    """Names of AWS's own policies that roles are given."""
    return {
        r["inputs"]["policyArn"].rpartition("/")[2]
        for r in rendered.cloud
        if r["type"] == "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    }


def items(value: str | list[str] | None) -> list[str]:
    """IAM takes one as itself or as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def too_wide(policy: Policy) -> Iterator[str]:
    """What a policy lets more than it should; the reasons in words."""
    for statement in policy.statements:
        if statement["Effect"] != "Allow":
            continue
        where = f"{policy.name} {statement['Sid']}"
        actions = items(statement.get("Action"))
        resources = items(statement.get("Resource"))
        if not actions or "NotAction" in statement or "NotResource" in statement:
            yield f"{where}: says what is not allowed instead of what is"
        yield from (f"{where}: action {a}" for a in actions if "*" in a or "?" in a)
        yield from _principals(where, statement)
        if policy.kind != "identity":
            continue
        if not resources:
            yield f"{where}: no resource"
        for action in actions:
            changes = not action.partition(":")[2].startswith(READING)
            if changes and "*" in resources and action not in NO_RESOURCE:
                yield f"{where}: {action} on every resource"
            unnamed = [r for r in resources if r != "*" and _any_of_its_kind(r)]
            free = "Condition" not in statement and action not in NO_RESOURCE
            if changes and unnamed and free:
                yield f"{where}: {action} on {unnamed} without a condition"


def _any_of_its_kind(arn: str) -> bool:
    """`...:volume/*`: AWS gives the names, so only tags can tell which."""
    service, _, resource = arn.split(":", 2)[2].partition(":")
    return service != "s3" and resource.endswith("/*")


def _principals(where: str, statement: dict[str, Any]) -> Iterator[str]:
    principal = statement.get("Principal")
    if principal is None:
        return
    values = (
        [principal]
        if isinstance(principal, str)
        else [v for one in principal.values() for v in items(one)]
    )
    for value in values:
        if "*" in value and "Condition" not in statement:
            yield f"{where}: anybody"
        if value.endswith(".amazonaws.com") and not _confined(value, statement):
            yield f"{where}: {value} on behalf of any account"


SAFE_SERVICES = {"ec2.amazonaws.com", "events.amazonaws.com"}
"""EC2 hands out a role only where its own account passed it (iam:PassRole), and has no
aws:SourceArn then."""


def _confined(service: str, statement: dict[str, Any]) -> bool:
    """Against the confused deputy: the service acts for one account's resource only."""
    keys = {k for one in statement.get("Condition", {}).values() for k in one}
    ours = ("aws:SourceAccount", "aws:SourceArn", "kms:EncryptionContext")
    return service in SAFE_SERVICES or any(key.startswith(ours) for key in keys)
