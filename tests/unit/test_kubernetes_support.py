"""Versions of Kubernetes, taken or refused by the day."""

from __future__ import annotations

from datetime import date

import pytest

from components.cluster import kubernetes_support
from tests.support import eks


def judged(version: str, day: str, *, extended: bool = False) -> list[str]:
    found = kubernetes_support.problems(
        version, extended_support=extended, day=date.fromisoformat(day)
    )
    return [p.reason for p in found]


def test_a_version_is_taken_until_the_last_day_of_its_support() -> None:
    assert judged("1.33", "2026-07-29") == []
    (reason,) = judged("1.33", "2026-07-30")
    assert "standard support ended on 2026-07-29" in reason
    assert judged("1.33", "2026-07-30", extended=True) == []
    assert judged("1.33", "2027-07-29", extended=True) == []
    (reason,) = judged("1.33", "2027-07-30", extended=True)
    assert "extended support ended on 2027-07-29" in reason


def test_a_version_that_is_none_is_refused_with_those_that_are() -> None:
    (problem,) = kubernetes_support.problems(
        "1.99", extended_support=False, day=date(2026, 11, 23)
    )
    assert "no such version" in problem.reason
    assert "1.35" in problem.fix
    assert "1.33" not in problem.fix


@pytest.mark.parametrize(
    ("day", "extended", "wanted"),
    [
        ("2026-09-02", False, None),
        ("2026-09-03", False, "EKS ends standard support for Kubernetes 1.34 in 90"),
        ("2026-12-02", False, "in 0 days, on 2026-12-02: EKS then upgrades"),
        ("2026-12-02", True, "in 0 days, on 2026-12-02: EKS then bills six times"),
        ("2026-12-03", True, None),
        ("2027-11-01", True, "EKS ends extended support for Kubernetes 1.34 in 31"),
    ],
)
def test_the_end_of_support_is_reported_90_days_before(
    day: str, extended: bool, wanted: str | None
) -> None:
    found = kubernetes_support.warning(
        "1.34", extended_support=extended, day=date.fromisoformat(day)
    )
    if wanted is None:
        assert found is None
    else:
        assert found is not None
        assert wanted in found
        assert "docs/how-to/eks-cluster.md" in found


def test_the_warning_is_shown_when_the_program_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(kubernetes_support.TODAY, "2026-11-23")
    (message,) = eks.cluster(version="1.34").messages
    assert "in 9 days, on 2026-12-02" in message
    assert "Upgrade to 1.35" in message
    assert eks.cluster(version="1.35").messages == ()


def test_the_day_is_todays_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kubernetes_support.TODAY, raising=False)
    before = date.today()  # noqa: DTZ011
    assert before <= kubernetes_support.today() <= date.today()  # noqa: DTZ011
