"""Policy documents of rendered resources, and what rules say of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from components.security import rules
from slipway.policy import objects
from slipway.policy.evaluation import Evaluator
from slipway.rendering.render import Rendered

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
"""Has a field `policy` that is not one of IAM's."""
_LISTED = rules.load()
_EVALUATOR = Evaluator(_LISTED)


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


def too_wide(policy: Policy) -> Iterator[str]:
    """What a policy lets more than it should, by the rules of policies/iam.yaml."""
    document = {
        "kind": policy.kind,
        "statements": [objects.statement(one) for one in policy.statements],
    }
    for rule in _LISTED.rules.values():
        if "aws:iam/rolePolicy:RolePolicy" in rule.object_kinds:
            for text in _EVALUATOR.wrong(rule, {"policies": [document]}, {}):
                yield f"{policy.name}: {rule.id}: {text}"
