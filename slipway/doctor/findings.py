"""The doctor's findings, one for each checked item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from slipway.redaction import redact

Status = Literal["good", "problem", "unknown"]
STATUSES: tuple[Status, ...] = ("good", "problem", "unknown")
SCHEMA_VERSION = 1
GOOD, PROBLEMS, COULD_NOT_CHECK = 0, 1, 2
"""Exit statuses."""


@dataclass(frozen=True)
class Finding:
    """One checked item."""

    check: str
    """Name of the check, for example `vcpu-quotas`."""
    status: Status
    """`unknown`: the item could not be checked. Never good by default."""
    subject: str
    """The checked item, for example `pools.gpu` or `eu-central-1`."""
    detail: str
    """The observation."""
    fix: str = ""
    """The fix; empty if the item is good."""


@dataclass(frozen=True)
class Report:
    """All findings about one stack."""

    stack: str
    account: str
    region: str
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[Status, int]:
        found = Counter(finding.status for finding in self.findings)
        return {status: found[status] for status in STATUSES}

    @property
    def exit_status(self) -> int:
        """A known problem weighs more than what could not be looked at."""
        if self.counts["problem"]:
            return PROBLEMS
        return COULD_NOT_CHECK if self.counts["unknown"] else GOOD

    def as_json(self) -> dict[str, Any]:
        """Return JSON by docs/reference/doctor.schema.json; it contains no secrets."""
        return {
            "schema_version": SCHEMA_VERSION,
            "stack": self.stack,
            "account": self.account,
            "region": self.region,
            "exit_status": self.exit_status,
            "counts": self.counts,
            "findings": [_clean(finding) for finding in self.findings],
        }


def _clean(finding: Finding) -> dict[str, str]:
    return {name: redact(value) for name, value in asdict(finding).items()}


def worst(findings: Sequence[Finding]) -> list[Finding]:
    """Return problems first, then unchecked items, then the rest."""
    order: dict[Status, int] = {"problem": 0, "unknown": 1, "good": 2}
    return sorted(findings, key=lambda finding: order[finding.status])
