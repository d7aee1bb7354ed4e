"""What the doctor found: one finding per thing that was looked at."""

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
    """One thing that was looked at."""

    check: str
    """Which check says it, for example `vcpu-quotas`."""
    status: Status
    """`unknown`: it could not be looked at. Never good by default."""
    subject: str
    """What was looked at, for example `pools.gpu` or `eu-central-1`."""
    detail: str
    """What was seen."""
    fix: str = ""
    """What to do about it; empty where it is good."""


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
        """As docs/reference/doctor.schema.json describes it; no secrets in it."""
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
    """Problems first, then what could not be looked at, then the rest."""
    order: dict[Status, int] = {"problem": 0, "unknown": 1, "good": 2}
    return sorted(findings, key=lambda finding: order[finding.status])
