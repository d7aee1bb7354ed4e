"""Every command that CONTRIBUTING names is there and finds its tests.

`make` itself says what it would run.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from tests.conftest import TIERS
from tests.support import mutation
from toolchain import paths

PAGE = (paths.ROOT / "CONTRIBUTING.md").read_text()
IMPORT = "\nfrom model_server"
COMMANDS = sorted(set(re.findall(r"`(make [^`]+)`", PAGE)))


def arguments(command: str) -> list[str]:
    """What the command's ARGS hand to pytest."""
    for word in shlex.split(command)[2:]:
        name, _, value = word.partition("=")
        assert name == "ARGS", f"{command}: {word}"
        return shlex.split(value)
    return []


def test_the_page_names_what_contributors_run() -> None:
    verbs = {command.split()[1] for command in COMMANDS}
    assert {"check", "test", "lint", "format", "lock", "docs"} <= verbs
    assert sum(bool(arguments(command)) for command in COMMANDS) >= 2


@pytest.mark.parametrize("command", COMMANDS)
def test_make_has_the_verb(command: str) -> None:
    verb = command.split()[1]
    # Says what it would run, and fails on a verb that is not there.
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", verb],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", [c for c in COMMANDS if arguments(c)])
def test_its_arguments_name_tests(command: str) -> None:
    given = arguments(command)
    if "-k" in given:  # `name` stands for a test of the reader's choice
        del given[given.index("-k") :]
    for place in given:
        path = paths.ROOT / place
        assert path.relative_to(paths.ROOT / "tests").parts[0] in TIERS
        assert path.is_file() or list(path.glob("test_*.py")), place


@pytest.mark.parametrize("tier", ["unit", "server"])
def test_a_tier_is_collected_by_itself(tier: str) -> None:
    """And needs nothing that another tier's conftest puts on the path.

    One file, as an import of all takes ten seconds: one that uses an image's program.
    """
    folder = paths.ROOT / "tests" / tier
    file = next(f for f in sorted(folder.glob("test_*.py")) if IMPORT in f.read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", str(file)],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert file.name in done.stdout


def test_check_runs_the_quick_tiers_and_only_leaves_programs_out() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "quick"],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    words = shlex.split(done.stdout.splitlines()[-1].removeprefix("@"))
    tiers = ["unit", "rejects", "property", "golden", "policy"]
    assert words[-5:] == [f"tests/{tier}" for tier in tiers]
    assert words[words.index("-m", 2) + 1] == "not programs"
    assert "--deselect" not in words
    assert "-k" not in words


@pytest.mark.parametrize("target", mutation.TARGETS.values(), ids=mutation.TARGETS)
def test_what_is_mutated_and_what_should_notice_is_there(
    target: mutation.Target,
) -> None:
    assert all((paths.ROOT / name).is_file() for name in (*target.tests, *target.files))
    assert (paths.ROOT / target.root / target.package).is_dir()


def test_the_page_names_the_targets() -> None:
    named = re.search(r"mutation TARGET` [^(]*\(([^)]*)\)", PAGE)
    assert named
    assert set(re.findall(r"`(\w+)`", named[1])) == set(mutation.TARGETS)
