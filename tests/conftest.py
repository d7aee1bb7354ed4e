"""Tiers: a test belongs to the folder it lies in; the summary has a line for each.

A tier that cannot run here says why. With `--require TIER` (as .ci/run asks) a tier
that ran no test, or skipped one, fails the run: a green summary must not hide it.
Tests with the marker `optional` may be skipped: they run where somebody asks for them.
"""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from components.images import LOCK_VARIABLE
from components.platform.package import NoGoError
from tests.support.turns import turn
from toolchain import paths

TESTS = Path(__file__).parent
# No deadline: a busy machine is slow, not wrong. The blob reproduces a failure.
settings.register_profile("slipway", deadline=None, print_blob=True)
settings.load_profile("slipway")
# Versions of Kubernetes leave support; what the tests ask must not change by that.
os.environ["SLIPWAY_TODAY"] = "2026-11-23"
BUDGETS = {
    "unit": 280,
    "rejects": 20,
    "property": 90,
    "golden": 30,
    "emulator": 290,
    "server": 340,
    "monitor": 540,
    "policy": 170,
    "hosts": 860,
    "cluster": 2100,
}
"""Seconds that a tier's tests may take in `.ci/run` on two calm cores, all processes
together. Two run at a time, so that the sum is twice the 36 minutes of the clock."""
LONGEST = 8
"""Files that the summary names for a tier over its budget."""
MOST_OF_AN_ERROR = 500
"""Characters of an error that are printed at once."""
TIERS = tuple(BUDGETS)
"""From free to real; run in this order, so that cheap failures show first."""
LONG = ("cluster", "policy", "property")
"""Tiers of long tests, which several processes begin with: or one is left with them."""
QUICK = ("unit", "rejects", "property", "golden", "policy")
"""Tiers that run before this machine has built or pushed an image."""
NO_IMAGES = TESTS / "no-images.lock"
"""A file that there is not: the lock file of the quick tiers, unless a test has one."""
TOGETHER = {
    "cluster": "cluster",
    "hosts/test_playbooks.py": "playbooks",
    "hosts/test_playbooks_and_stacks.py": "playbooks",
    "hosts/test_playbooks_reset.py": "playbooks",
}
"""Tiers and files that share one lab, and so one process, by the lab's name."""
TURNS = paths.state() / "tests"
"""Where processes that run tests side by side agree who is alone."""


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


class AtOnce:
    """Prints why a test failed when it fails; a run that is ended prints no summary."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._reporter.ensure_newline()
            self._reporter.write_line(failure(report))


def failure(report: pytest.TestReport) -> str:
    """One line: the test, its phase, and the beginning of the error."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = " ".join((crash.message if crash else report.longreprtext).split())
    return f"{report.nodeid} {report.when}: {text[:MOST_OF_AN_ERROR]}"


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not _is_one_of_several(config):
        config.pluginmanager.register(AtOnce(reporter))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collection makes, modules above all, stays: no search for cycles sees it.

    Else each full search of the run goes through it, in forks of the process, too.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Modules of the quick tiers are imported without the images of this machine.

    Else a module passes where there is a lab, and fails on a new machine.
    """
    if not (isinstance(collector, pytest.Module) and tier_of(collector.path) in QUICK):
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LOCK_VARIABLE, str(NO_IMAGES))
        return (yield)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    if all(tier_of(item.path) in QUICK for item in items):
        os.environ[LOCK_VARIABLE] = str(NO_IMAGES)
    items.sort(key=lambda item: TIERS.index(tier_of(item.path)))
    if _is_one_of_several(config):
        items.sort(key=lambda item: tier_of(item.path) not in LONG)


def _is_one_of_several(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def process_of(nodeid: str) -> str:
    """Tests with the same answer run in one process: a file's, and those of a lab."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    return TOGETHER.get(file.partition("/")[0]) or TOGETHER.get(file) or file


class OneLabOneProcess(LoadFileScheduling):
    """xdist's way of keeping a file together, by our answer."""

    def _split_scope(self, nodeid: str) -> str:
        return process_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> LoadFileScheduling:
    return OneLabOneProcess(config, log)


_turns: list[AbstractContextManager[None]] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Calm tests in a row are one turn, so that others do not come between them."""
    if not _is_one_of_several(item.config):
        return (yield)
    calm = _is_calm(item)
    if not _turns:
        _turns.append(turn(TURNS, alone=calm))
        _turns[0].__enter__()
    try:
        return (yield)
    finally:
        if not (calm and nextitem and _is_calm(nextitem)):
            _turns.pop().__exit__(None, None, None)


def _is_calm(item: pytest.Item) -> bool:
    return item.get_closest_marker("calm") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where there is no Go, what reads the publishers' charts cannot run, and says so.

    The charts are in Go modules, which are fetched once.
    """
    report = yield
    if call.excinfo and call.excinfo.errisinstance(NoGoError):
        report.outcome = "skipped"
        reason = str(call.excinfo.value)
        report.longrepr = (str(item.path), 0, f"Skipped: {reason}")
    return report


def _reports(
    stats: dict[str, list[pytest.TestReport]],
) -> Iterable[tuple[str, str, pytest.TestReport]]:
    # Set-ups and teardowns that passed stand under no name.
    for outcome in ("passed", "failed", "error", "skipped", ""):
        for report in stats.get(outcome, []):
            if isinstance(report, pytest.TestReport):
                name = report.nodeid.removeprefix("tests/").split("/")[0]
                yield (name, outcome, report)


def summary(stats: dict[str, list[pytest.TestReport]]) -> dict[str, dict[str, float]]:
    """Per tier, how many tests did what, and the seconds they took."""
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for tier, outcome, report in _reports(stats):
        if outcome:
            counts[tier]["failed" if outcome == "error" else outcome] += 1
            counts[tier]["missing"] += outcome == "skipped" and not is_optional(report)
        counts[tier]["seconds"] += getattr(report, "duration", 0.0)
    return counts


def longest(stats: dict[str, list[pytest.TestReport]], tier: str) -> str:
    """The files of a tier that took the most seconds, set-up included."""
    seconds: dict[str, float] = defaultdict(float)
    for name, _, report in _reports(stats):
        if name == tier:
            file = report.nodeid.partition("::")[0].rpartition("/")[2]
            seconds[file] += getattr(report, "duration", 0.0)
    first = sorted(seconds, key=seconds.__getitem__, reverse=True)[:LONGEST]
    return "longest: " + ", ".join(f"{file} {seconds[file]:.0f} s" for file in first)


def is_optional(report: pytest.TestReport) -> bool:
    """Whether a tier is whole without this test."""
    return "optional" in report.keywords


def unmet(required: list[str], counts: dict[str, dict[str, float]]) -> list[str]:
    """The required tiers that ran no test, or left out one that is not optional."""
    return [
        tier
        for tier in required
        if not counts[tier]["passed"] or counts[tier]["missing"]
    ]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    required = session.config.getoption("--require")
    if (
        session.exitstatus == 0
        and reporter
        and unmet(required, summary(reporter.stats))
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def line_of(tier: str, tally: Mapping[str, float]) -> str:
    """A tier's line: how many did what, and what it took of what it may take."""
    ran = " ".join(
        f"{tally[outcome]:.0f} {outcome}"
        for outcome in ("passed", "failed", "skipped")
        if tally.get(outcome)
    )
    if not ran:
        return f"{tier:9} not run"
    line = f"{tier:9} {ran}  {tally['seconds']:.1f} s of {BUDGETS[tier]} s"
    return f"{line}, over its budget" if tally["seconds"] > BUDGETS[tier] else line


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    counts = summary(terminalreporter.stats)
    terminalreporter.section("tiers")
    for tier in TIERS:
        line = line_of(tier, counts[tier])
        if counts[tier]["seconds"] > BUDGETS[tier]:
            line += f"\n{'':10}{longest(terminalreporter.stats, tier)}"
        reasons = {
            str(report.longrepr[2]).removeprefix("Skipped: ")
            for name, outcome, report in _reports(terminalreporter.stats)
            if (name, outcome) == (tier, "skipped")
            and isinstance(report.longrepr, tuple)
        }
        terminalreporter.write_line(line + "".join(f"\n{'':10}{r}" for r in reasons))
    for tier in unmet(config.getoption("--require"), counts):
        terminalreporter.write_line(f"error: tier {tier} was required and is not whole")
