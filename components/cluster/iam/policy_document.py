"""IAM policy documents as typed values: written once, rendered and compared as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

VERSION = "2012-10-17"
"""The language's current version, a fixed date of AWS's.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html"""


@dataclass(frozen=True)
class Condition:
    """One test of a statement, for example StringEquals aws:SourceAccount 1234."""

    operator: str
    key: str
    values: tuple[str, ...]
    """Any one of them suffices (for the negated operators: none may match)."""


@dataclass(frozen=True)
class Principal:
    """The principal of a trust or resource policy."""

    kind: Literal["Service", "AWS"]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """Allowed actions, resources and conditions; `principal` in trust policies."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ()
    """ARNs; empty in trust policies, whose resource is the role itself."""
    conditions: tuple[Condition, ...] = ()
    """All of them must hold."""
    principal: Principal | None = None
    effect: Literal["Allow", "Deny"] = "Allow"

    def rendered(self) -> dict[str, Any]:
        """The statement by IAM's own names."""
        found: dict[str, Any] = {"Sid": self.sid, "Effect": self.effect}
        if self.principal:
            found["Principal"] = {self.principal.kind: list(self.principal.values)}
        found["Action"] = list(self.actions)
        if self.resources:
            found["Resource"] = list(self.resources)
        if self.conditions:
            tests: dict[str, dict[str, list[str]]] = {}
            for one in self.conditions:
                of_operator = tests.setdefault(one.operator, {})
                if one.key in of_operator:
                    raise ValueError(
                        f"{self.sid}: {one.operator} {one.key} is given twice; the "
                        "second would replace the first"
                    )
                of_operator[one.key] = list(one.values)
            found["Condition"] = tests
        return found


@dataclass(frozen=True)
class PolicyDocument:
    """The statements of one policy."""

    statements: tuple[Statement, ...]

    def rendered(self) -> dict[str, Any]:
        """The document by IAM's own names."""
        return {
            "Version": VERSION,
            "Statement": [one.rendered() for one in self.statements],
        }

    def json(self) -> str:
        """The document as AWS takes it, without blanks: sizes are limited.

        A role's inline policies may have 10,240 characters in all.
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        """
        return json.dumps(self.rendered(), separators=(",", ":"))


def equals(key: str, *values: str) -> Condition:
    """The key exists and equals one of the values exactly."""
    return Condition("StringEquals", key, values)


def arn_equals(key: str, *values: str) -> Condition:
    """The key exists and is one of these ARNs."""
    return Condition("ArnEquals", key, values)
