"""Tiers: a test belongs to the folder it lies in; the summary has a line for each.

A tier that cannot run here says why. With `--require TIER` (as .ci/run asks) a tier
that ran no test, or skipped one, fails the run: a green summary must not hide it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Versions of Kubernetes leave support; what the tests ask must not change by that.
os.environ["SLIPWAY_TODAY"] = "2026-11-23"
TIERS = (
    "unit",
    "rejects",
    "property",
    "golden",
    "emulator",
    "server",
    "policy",
    "hosts",
    "cluster",
)
"""From free to real; run in this order, so that cheap failures show first."""


def tier_of(path: Path) -> str:
    """The folder below tests/ that a test file lies in."""
    return path.relative_to(TESTS).parts[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        action="append",
        default=[],
        choices=TIERS,
        help="fail unless this tier ran and skipped nothing",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: TIERS.index(tier_of(item.path)))


def _reports(
    stats: dict[str, list[pytest.TestReport]],
) -> Iterable[tuple[str, str, pytest.TestReport]]:
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in stats.get(outcome, []):
            name = report.nodeid.removeprefix("tests/").split("/")[0]
            yield (name, outcome, report)


def _summary(stats: dict[str, list[pytest.TestReport]]) -> dict[str, dict[str, float]]:
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for tier, outcome, report in _reports(stats):
        counts[tier]["failed" if outcome == "error" else outcome] += 1
        counts[tier]["seconds"] += getattr(report, "duration", 0.0)
    return counts


def _unmet(required: list[str], counts: dict[str, dict[str, float]]) -> list[str]:
    return [
        tier
        for tier in required
        if not counts[tier]["passed"] or counts[tier]["skipped"]
    ]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    required = session.config.getoption("--require")
    if (
        session.exitstatus == 0
        and reporter
        and _unmet(required, _summary(reporter.stats))
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    counts = _summary(terminalreporter.stats)
    terminalreporter.section("tiers")
    for tier in TIERS:
        tally = counts[tier]
        ran = " ".join(
            f"{tally[outcome]:.0f} {outcome}"
            for outcome in ("passed", "failed", "skipped")
            if tally[outcome]
        )
        line = f"{tier:9} {ran or 'not run'}  {tally['seconds']:.1f} s"
        reasons = {
            str(report.longrepr[2]).removeprefix("Skipped: ")
            for name, outcome, report in _reports(terminalreporter.stats)
            if name == tier and outcome == "skipped" and len(report.longrepr or ()) == 3
        }
        terminalreporter.write_line(line + "".join(f"\n{'':10}{r}" for r in reasons))
    for tier in _unmet(config.getoption("--require"), counts):
        terminalreporter.write_line(f"error: tier {tier} was required and is not whole")
