"""Kubernetes and add-on versions: whether EKS offers them, together, in this region."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.account import Account, CannotAskError
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "versions"
STANDARD, EXTENDED = "STANDARD_SUPPORT", "EXTENDED_SUPPORT"


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Check that EKS offers the Kubernetes version, and compatible add-on versions."""
    try:
        yield _kubernetes(plan, account)
    except CannotAskError as error:
        yield Finding(NAME, "unknown", "cluster.version", error.why, error.fix)
    for addon, version in sorted(plan.addons.items()):
        try:
            yield _addon(plan, account, addon, version)
        except CannotAskError as error:
            yield Finding(NAME, "unknown", addon, error.why, error.fix)


def _kubernetes(plan: Plan, account: Account) -> Finding:
    subject = "cluster.version"
    found = account.all("eks", "describe_cluster_versions", "clusterVersions")
    status = {one["clusterVersion"]: one.get("versionStatus") for one in found}
    of_ours = status.get(plan.version)
    supported = (STANDARD, EXTENDED) if plan.extended_support else (STANDARD,)
    if of_ours in supported:
        return Finding(NAME, "good", subject, f"{plan.version} is in {_words(of_ours)}")
    offered = sorted(name for name, state in status.items() if state in supported)
    return Finding(
        NAME,
        "problem",
        subject,
        f"{plan.version} is in {_words(of_ours)}"
        if of_ours
        else f"EKS does not offer {plan.version} here",
        f"choose from {', '.join(offered) or 'no version'}",
    )


def _words(status: str | None) -> str:
    return str(status).lower().replace("_", " ")


def _addon(plan: Plan, account: Account, addon: str, version: str) -> Finding:
    found = account.all(
        "eks",
        "describe_addon_versions",
        "addons",
        addonName=addon,
        kubernetesVersion=plan.version,
    )
    offered = [v for one in found for v in one.get("addonVersions", ())]
    names = [one["addonVersion"] for one in offered]
    if version in names:
        return Finding(NAME, "good", addon, f"{version} goes with {plan.version}")
    return Finding(
        NAME,
        "problem",
        addon,
        f"EKS has no {version} for Kubernetes {plan.version}",
        f"set cluster.addons.{addon}.version to {_default(offered) or 'another'}",
    )


def _default(offered: list[dict[str, Any]]) -> str:
    """The version that AWS would take, or the newest."""
    for one in offered:
        if any(c.get("defaultVersion") for c in one.get("compatibilities", ())):
            return str(one["addonVersion"])
    return str(offered[0]["addonVersion"]) if offered else ""
