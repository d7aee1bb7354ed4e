"""Whether the caller's policies allow what an apply and a destroy call.

IAM's own simulator decides, on policies and boundaries of the caller and of the
organization; resource policies and session policies are not in it.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.yaml_text import read
from slipway.account import Account, CannotAskError, pages
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan, Registered

NAME = "permissions"
TABLE = Path(__file__).parents[1] / "actions.yaml"
ALL = "*"
ACTIONS_A_CALL = 40
_ASSUMED = re.compile(r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d+):assumed-role/")


@dataclass(frozen=True)
class Rights:
    """The permissions that a type of resource needs."""

    actions: tuple[str, ...]
    arn: str = ALL
    """With the resource's inputs as placeholders."""


@functools.cache
def table() -> Mapping[str, Rights]:
    """Return the permissions by type."""
    raw = read(TABLE.read_text(), TABLE.name)
    return {
        name: Rights(tuple(one["actions"]), one.get("arn", ALL))
        for name, one in raw.items()
    }


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Check that each action for the stack's resources is allowed."""
    caller = str(account.ask("sts", "get_caller_identity")["Arn"])
    if caller.endswith(":root"):
        yield Finding(
            NAME,
            "unknown",
            caller,
            "IAM cannot simulate the root user, who may do everything that the "
            "organization allows",
            "use a role: the rights of the root user are hard to restrict",
        )
        return
    unlisted = {one.type for one in plan.resources} - set(table())
    for type_ in sorted(unlisted):
        yield Finding(
            NAME,
            "unknown",
            type_,
            f"{TABLE.name} does not list the actions that it needs",
            "add the type there",
        )
    principal = principal_of(caller, account)
    good = 0
    for group in groups(plan):
        denied = dict(_denied(account, principal, group))
        good += len(group.actions) - len(denied)
        yield from _findings(principal, group, denied)
    yield Finding(NAME, "good", principal, f"{good} actions are allowed")


def principal_of(caller: str, account: Account) -> str:
    """Return the ARN whose policies apply: for a session, its role's with the path."""
    match = _ASSUMED.match(caller)
    if not match:
        return caller
    name = caller[match.end() :].partition("/")[0]
    try:
        return str(account.ask("iam", "get_role", RoleName=name)["Role"]["Arn"])
    except CannotAskError:
        return f"arn:{match['partition']}:iam::{match['account']}:role/{name}"


@dataclass(frozen=True)
class Group:
    """Actions that are checked for the same resources."""

    subject: str
    actions: tuple[str, ...]
    arns: tuple[str, ...]


def groups(plan: Plan) -> list[Group]:
    """Return one group per type with known ARNs, and one for all the rest."""
    by_type: dict[str, list[Registered]] = defaultdict(list)
    for one in plan.resources:
        if one.type in table():
            by_type[one.type].append(one)
    found, rest = [], list[str]()
    for type_, resources in sorted(by_type.items()):
        rights = table()[type_]
        if rights.arn == ALL:
            rest += rights.actions
            continue
        arns = tuple(sorted({_arn(plan, rights, one) for one in resources}))
        found.append(Group(type_.rpartition(":")[2], rights.actions, arns))
    if rest:
        found.append(Group("all resources", tuple(dict.fromkeys(rest)), (ALL,)))
    return found


def _arn(plan: Plan, rights: Rights, resource: Registered) -> str:
    place = {
        "partition": plan.arns.partition,
        "region": plan.region,
        "account": plan.account,
    }
    return rights.arn.format_map(_Named({**resource.inputs, **place}))


class _Named(dict[str, Any]):
    """Inputs of a resource; one whose name the provider chooses stands for any."""

    def __missing__(self, key: str) -> str:
        return ALL


def _denied(
    account: Account, principal: str, group: Group
) -> Iterator[tuple[str, str]]:
    """Return the denied actions, with the reason."""
    for actions in pages(list(group.actions), ACTIONS_A_CALL):
        results = account.all(
            "iam",
            "simulate_principal_policy",
            "EvaluationResults",
            PolicySourceArn=principal,
            ActionNames=actions,
            ResourceArns=list(group.arns),
        )
        for result in results:
            if reason := _reason(result):
                yield result["EvalActionName"], reason


def _reason(result: Mapping[str, Any]) -> str:
    """Why the action is not allowed on one of the resources; empty if it is."""
    specific = result.get("ResourceSpecificResults", ())
    decisions = [result["EvalDecision"], *(r["EvalResourceDecision"] for r in specific)]
    if all(decision == "allowed" for decision in decisions):
        return ""
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is (
        False
    ):
        return "the organization's policy forbids it"
    boundary = result.get("PermissionsBoundaryDecisionDetail", {})
    if boundary.get("AllowedByPermissionsBoundary") is False:
        return "the permissions boundary forbids it"
    if "explicitDeny" in decisions:
        return "a policy denies it"
    missing = result.get("MissingContextValues", ())
    return f"{CONDITIONS} {', '.join(missing)}" if missing else "no policy allows it"


CONDITIONS = "it depends on"
"""Text before the condition keys for which the simulation has no values."""


def _findings(
    principal: str, group: Group, denied: Mapping[str, str]
) -> Iterator[Finding]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for action, reason in denied.items():
        by_reason[reason].append(action)
    for reason, actions in by_reason.items():
        depends = reason.startswith(CONDITIONS)
        yield Finding(
            NAME,
            "unknown" if depends else "problem",
            group.subject,
            f"{reason}: {', '.join(sorted(actions))}",
            f"check the conditions in the policies of {principal}"
            if depends
            else f"allow it for {principal} on {', '.join(group.arns)}",
        )
