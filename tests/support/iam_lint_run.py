"""Runs in parliament's own environment: policies on stdin, findings on stdout, as JSON.

In: name to {kind, document}. Out: a list of {policy, sid, severity, issue, detail}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import parliament  # type: ignore[import-not-found]

ROLE = "arn:aws:iam::123456789012:role/any"
"""Trust policies have no resource, which parliament takes for a fault: it is the role
itself."""


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def _elsewhere(action: str, wanted: str, statements: list[dict[str, Any]]) -> bool:
    """Whether some statement lets the action at a resource of the wanted form.

    An action on several resources (CreateNetworkInterface: interface, subnet, group) is
    let if each of them is, be it by several statements with conditions of their own;
    parliament looks for all of them in each statement.
    """
    # By this word parliament knows that an object is not a bucket.
    kind = "bucket" if wanted.endswith(":s3:::*") else ""
    return any(
        action in _listed(s["Action"])
        and any(
            parliament.is_arn_match(kind, wanted, resource)
            for resource in _listed(s["Resource"])
        )
        for s in statements
    )


def _kept(finding: Any, statements: list[dict[str, Any]]) -> bool:
    if finding.issue != "RESOURCE_MISMATCH":
        return True
    return not all(
        _elsewhere(item["action"], item["required_format"], statements)
        for item in finding.detail
    )


def _with_account(resource: str) -> str:
    """AWS's public parameters belong to no account; parliament asks for one."""
    return resource.replace("::parameter/aws/", ":123456789012:parameter/aws/")


def _single(statement: dict[str, Any]) -> dict[str, Any]:
    """A condition's only value as itself: for Bool parliament takes no list."""
    conditions = {
        operator: {k: v[0] if len(v) == 1 else v for k, v in tests.items()}
        for operator, tests in statement.get("Condition", {}).items()
    }
    return statement | ({"Condition": conditions} if conditions else {})


def findings(name: str, kind: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """What parliament finds, statement by statement."""
    statements = [_single(s) for s in document["Statement"]]
    for statement in statements if kind == "trust" else []:
        statement.setdefault("Resource", ROLE)
    for statement in statements:
        statement["Resource"] = [
            _with_account(r) for r in _listed(statement["Resource"])
        ]
    found = []
    for statement in statements:
        text = json.dumps({"Version": document["Version"], "Statement": [statement]})
        for finding in parliament.analyze_policy_string(text).findings:
            if _kept(finding, statements):
                rich = parliament.enhance_finding(finding)
                found.append(
                    {
                        "policy": name,
                        "sid": statement["Sid"],
                        "severity": rich.severity,
                        "issue": rich.issue,
                        "detail": str(rich.detail),
                    }
                )
    return found


if __name__ == "__main__":
    given = json.load(sys.stdin)
    result = [
        f for n, p in given.items() for f in findings(n, p["kind"], p["document"])
    ]
    json.dump(result, sys.stdout)
