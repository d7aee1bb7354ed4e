"""Kubernetes versions that EKS supports on a date, and the consequences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date

from components import catalog
from components.settings import Problem

WARN_DAYS = 90
"""Warning time before the end of support, for an upgrade of nodes and workloads."""
OFFER_DAYS = 60
"""A version with less standard support left is taken, and not offered."""
TODAY = "SLIPWAY_TODAY"
"""Environment variable with the day to judge by (2026-11-23) in place of today."""


def today() -> date:
    """The day by which support is judged, in local time."""
    given = os.environ.get(TODAY)
    # A calendar day of the person who runs it; the hour does not matter here.
    return date.fromisoformat(given) if given else date.today()  # noqa: DTZ011


def problems(version: str, *, extended_support: bool, day: date) -> Iterator[Problem]:
    """Report problems of the version on this date; paths are those of EksSettings."""
    known = _known(version)
    if known is None:
        yield Problem(
            path="version",
            value=version,
            reason="EKS has no such version, or the catalogue does not know it yet",
            fix=f"give one of {', '.join(offered(day))}, or update the catalogue with "
            "`slipway catalog refresh`",
        )
    elif day > known.extended_until:
        yield Problem(
            path="version",
            value=version,
            reason="EKS upgrades it automatically: extended support ended on "
            f"{known.extended_until}",
            fix=f"give one of {', '.join(offered(day))}",
        )
    elif day > known.standard_until and not extended_support:
        yield Problem(
            path="version",
            value=version,
            reason=f"its standard support ended on {known.standard_until}; since then "
            "EKS bills six times as much for the control plane",
            fix=f"give one of {', '.join(offered(day))}, or set extended_support: "
            f"true until {known.extended_until}",
        )


def warning(version: str, *, extended_support: bool, day: date) -> str | None:
    """Return a warning if support ends within 90 days; otherwise None."""
    known = _known(version)
    if known is None:
        return None
    paid = extended_support and day > known.standard_until
    end = known.extended_until if paid else known.standard_until
    left = (end - day).days
    if not 0 <= left <= WARN_DAYS:
        return None
    kind = "extended" if paid else "standard"
    then = (
        "EKS then upgrades the control plane automatically"
        if paid or not extended_support
        else "EKS then bills six times as much for the control plane"
    )
    return (
        f"EKS ends {kind} support for Kubernetes {version} in {left} days, on {end}: "
        f"{then}. Upgrade to {_next(version, day)}: docs/how-to/eks-cluster.md"
    )


def supported(day: date) -> list[str]:
    """Versions in standard support at this day, oldest first."""
    return [
        version
        for version in sorted(catalog.kubernetes_versions(), key=_number)
        if catalog.kubernetes_version(version).standard_until >= day
    ]


def offered(day: date) -> list[str]:
    """Versions to begin with: those whose standard support lasts 60 days or more."""
    return [
        version
        for version in supported(day)
        if (catalog.kubernetes_version(version).standard_until - day).days >= OFFER_DAYS
    ]


def _next(version: str, day: date) -> str:
    """The control plane goes up by one minor version at a time."""
    later = [v for v in supported(day) if _number(v) > _number(version)]
    return later[0] if later else "the next version"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _known(version: str) -> catalog.EksVersion | None:
    if version not in catalog.kubernetes_versions():
        return None
    return catalog.kubernetes_version(version)
