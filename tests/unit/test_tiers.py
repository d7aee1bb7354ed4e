"""Every test file is collected: a test that never runs proves nothing."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import pytest

from tests.conftest import (
    BUDGETS,
    TIERS,
    failure,
    line_of,
    longest,
    process_of,
    summary,
    unmet,
)
from tests.support.turns import turn
from toolchain import paths

TESTS = paths.ROOT / "tests"
NOT_TIERS = {"support"}
MAKEFILE = (paths.ROOT / "Makefile").read_text()


def test_make_test_runs_every_tier() -> None:
    named = re.findall(r"^(?:QUICK|OTHERS) = (.*)$", MAKEFILE, re.MULTILINE)
    tiers = [word.removeprefix("tests/") for words in named for word in words.split()]
    assert sorted(tiers) == sorted(TIERS)


def test_every_folder_is_a_tier() -> None:
    folders = {p.name for p in TESTS.iterdir() if p.is_dir() and p.name[0] not in "._"}
    assert folders - NOT_TIERS <= set(TIERS)


def test_every_file_with_a_test_is_named_to_be_collected() -> None:
    lost = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if "\ndef test_" in path.read_text() and not path.name.startswith("test_")
    ]
    assert lost == []


def test_each_tier_has_a_budget_beside_what_it_took() -> None:
    """A tier over it is told and does not fail: machines differ."""
    budget = BUDGETS["unit"]
    tally = {"passed": 12, "skipped": 1, "seconds": budget - 0.5}
    assert line_of("unit", tally) == (
        f"unit      12 passed 1 skipped  {budget - 0.5:.1f} s of {budget} s"
    )
    late = line_of("unit", {"failed": 2, "seconds": budget + 1})
    assert late.endswith(f"{budget + 1:.1f} s of {budget} s, over its budget")
    assert line_of("cluster", {}) == "cluster   not run"


def report_of(
    outcome: Literal["passed", "skipped", "failed"],
    *marks: str,
    file: str = "tests/cluster/test_it.py",
    seconds: float = 0,
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=f"{file}::test_it",
        location=(file, 1, "test_it"),
        keywords=dict.fromkeys(marks, 1),
        outcome=outcome,
        longrepr=None,
        when="call",
        duration=seconds,
    )


def test_a_failure_is_one_line() -> None:
    """Of a fixture, too, and of what ended without a traceback."""
    found = report_of("failed")
    found.longrepr = "worker crashed\nwhile running it"
    assert failure(found) == (
        "tests/cluster/test_it.py::test_it call: worker crashed while running it"
    )


def test_a_tier_names_its_longest_files() -> None:
    """What to look at where the tier is over its budget."""
    took = {
        "tests/unit/test_a.py": 2,
        "tests/unit/test_b.py": 3,
        "tests/golden/c.py": 9,
    }
    reports = [report_of("passed", file=file, seconds=took[file]) for file in took]
    reports.append(report_of("passed", file="tests/unit/test_a.py", seconds=2.4))
    assert longest({"passed": reports}, "unit") == (
        "longest: test_a.py 4 s, test_b.py 3 s"
    )


def test_a_required_tier_is_whole_without_what_is_optional() -> None:
    def missing(*skipped: pytest.TestReport) -> list[str]:
        stats = {"passed": [report_of("passed")], "skipped": list(skipped)}
        return unmet(["cluster"], summary(stats))

    assert missing() == []
    assert missing(report_of("skipped", "optional")) == []
    assert missing(report_of("skipped", "optional"), report_of("skipped")) == [
        "cluster"
    ]
    only_optional = {"skipped": [report_of("skipped", "optional")]}
    assert unmet(["cluster"], summary(only_optional)) == ["cluster"]


def test_what_shares_a_lab_is_never_spread() -> None:
    """The tests of a lab go on with what those before them have left."""
    (quick,) = re.findall(r"^QUICK = (.*)$", MAKEFILE, re.MULTILINE)
    assert not {"tests/hosts", "tests/cluster", "tests/emulator"} & set(quick.split())
    spread = [line for line in MAKEFILE.splitlines() if "$(SPREAD)" in line]
    assert spread
    assert all("$(QUICK)" in line and "$(OTHERS)" not in line for line in spread)
    files = [str(path.relative_to(TESTS)) for path in TESTS.glob("*/test_*.py")]
    labs = {file: process_of(f"tests/{file}::test_it") for file in files}
    of_cluster = {lab for file, lab in labs.items() if file.startswith("cluster/")}
    assert of_cluster == {"cluster"}
    playbooks = {file for file, lab in labs.items() if lab == "playbooks"}
    # Who asks for the hosts that conftest.py shares.
    assert playbooks == {
        str(path.relative_to(TESTS))
        for path in (TESTS / "hosts").glob("test_*.py")
        if re.search(
            r"^from tests.hosts.conftest import", path.read_text(), re.MULTILINE
        )
        or "converged: PlaybookResult" in path.read_text()
    }
    others = {f: lab for f, lab in labs.items() if lab not in {"cluster", "playbooks"}}
    assert all(file == lab for file, lab in others.items())


def test_who_measures_is_alone_and_is_next(tmp_path: Path) -> None:
    """Others run beside each other; those who come after who waits wait behind."""
    here: list[str] = []
    seen: list[tuple[str, ...]] = []

    def run(name: str, until: threading.Event | None = None) -> None:
        with turn(tmp_path, alone=name.startswith("calm")):
            here.append(name)
            seen.append(tuple(here))
            if until:
                until.wait(10)
            here.remove(name)

    def begin(*names: str, until: threading.Event | None = None) -> threading.Thread:
        thread = threading.Thread(target=run, args=(*names, until))
        thread.start()
        time.sleep(0.1)  # to be in the room, or to wait before it
        return thread

    end = threading.Event()
    threads = [begin("first", until=end), begin("second", until=end)]
    threads += [begin("calm"), begin("late")]
    assert seen == [("first",), ("first", "second")]
    end.set()
    for thread in threads:
        thread.join(10)
    assert seen[2:] == [("calm",), ("late",)]


def test_searches_for_cycles_leave_out_what_collection_made() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000


def test_a_file_stays_in_one_process() -> None:
    """With these releases of pytest and xdist, as .ci/run asks for it."""
    files = ["tests/unit/test_progress.py", "tests/unit/test_redaction.py"]
    (spread,) = re.findall(r"^SPREAD = (.*)$", MAKEFILE, re.MULTILINE)
    words = [sys.executable, "-m", "pytest", "-v", *spread.split(), "-n2", *files]
    done = subprocess.run(
        words, cwd=paths.ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    ran = set(re.findall(r"\[(gw\d)\].* PASSED (\S+?)::", done.stdout))
    assert len(ran) == len(files), done.stdout
    assert {file for _, file in ran} == set(files)
    assert {worker for worker, _ in ran} == {"gw0", "gw1"}
