"""Runs all checks for one stack; a check that fails gives unknown, never good."""

from __future__ import annotations

from collections.abc import Callable

from slipway.account import Account, CannotAskError
from slipway.doctor.checks import CHECKS, FIRST, Check
from slipway.doctor.findings import Finding, Report
from slipway.doctor.plan import Plan

Said = Callable[[str], None]


def examine(plan: Plan, account: Account, said: Said = lambda _: None) -> Report:
    """All findings. `said` gets each check's name before it runs.

    Without the right account's credentials nothing else is asked: the answers would be
    another account's, or the same error many times.
    """
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        said(name)
        if _usable(findings) or name == FIRST:
            findings += _asked(name, check, plan, account)
        else:
            why = f"skipped: the check {FIRST} did not pass"
            findings.append(Finding(name, "unknown", plan.account, why, "see above"))
    return Report(plan.stack, plan.account, plan.region, tuple(findings))


def _usable(findings: list[Finding]) -> bool:
    return any(
        one.check == FIRST and one.subject == "account.id" and one.status == "good"
        for one in findings
    )


def _asked(name: str, check: Check, plan: Plan, account: Account) -> list[Finding]:
    found: list[Finding] = []
    try:
        for finding in check(plan, account):
            found.append(finding)  # noqa: PERF402, what came before an error stays
    except CannotAskError as error:
        found.append(Finding(name, "unknown", plan.region, error.why, error.fix))
    if not found:
        found.append(Finding(name, "good", plan.region, "nothing of the stack asks it"))
    return found
