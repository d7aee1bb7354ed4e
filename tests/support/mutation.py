"""Changes the code in small ways and counts which changes the unit tests notice.

mutmut does it, in a copy of the working tree. A change that no test notices (a
survivor) is either of no importance, such as a log line, or a test is missing.

    python -m tests.support.mutation waker [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain import own_venv, paths

REQUIREMENTS = paths.ROOT / "tests" / "requirements-mutmut.txt"
KILLED = ("killed", "timeout")
LIVES, UNTESTED = "survived", "no tests"


@dataclass(frozen=True)
class Target:
    """Code to change, and the tests that should notice."""

    package: str
    """Package or module path below the root of the copy."""
    tests: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Only these files of the package; empty: all."""
    root: str = ""
    """Folder of an image that has the package, which tests put on their path."""


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/test_{name}.py" for name in names)


TARGETS = {
    "waker": Target(
        package="waker",
        root="images/waker",
        tests=_unit(
            "waker", "waker_proxy", "waker_targets", "waker_cluster", "waker_web"
        ),
    ),
    "engine": Target(
        package="slipway",
        files=(
            "slipway/engine/existing.py",
            "slipway/cluster/kube_api.py",
            "slipway/engine/readiness.py",
            "slipway/engine/locks.py",
            "slipway/engine/recovery.py",
            "slipway/teardown/drain.py",
            "slipway/teardown/protection.py",
        ),
        tests=_unit(
            *("drain", "existing", "keys", "kube_api", "readiness"),
            *("recovery", "stack_api", "teardown"),
        ),
    ),
    "scaling": Target(
        package="components",
        files=(
            "components/serving/settings/access_settings.py",
            "components/serving/pods/autoscaling.py",
            "components/serving/args/idle_problems.py",
            "components/serving/settings/lifecycle_settings.py",
            "components/serving/settings/scaling_settings.py",
            "components/serving/routes/traffic.py",
        ),
        tests=(
            *_unit("access", "autoscaler", "idle", "model_server", "scaling"),
            "tests/rejects/test_rejects.py",
        ),
    ),
}


def _copy(target: Target, folder: Path) -> None:
    """The working tree, with what mutmut has to know of it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=paths.ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = [name for name in listed.split("\0") if (paths.ROOT / name).is_file()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(paths.ROOT / name, folder / name)
    if target.root:
        # mutmut wants a package where its name says.
        shutil.copytree(folder / target.root / target.package, folder / target.package)
        words = " / ".join(f'"{part}"' for part in Path(target.root).parts)
        for name in target.tests:
            text = (folder / name).read_text()
            (folder / name).write_text(
                text.replace(f"paths.ROOT / {words}", "paths.ROOT")
            )
    tops = {name.partition("/")[0] for name in names} - {target.package, "setup.cfg"}
    (folder / "setup.cfg").write_text(_settings(target, sorted(tops)))


def _settings(target: Target, others: Sequence[str]) -> str:
    lists = {
        "source_paths": [target.package],
        "only_mutate": target.files,
        "also_copy": others,
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
        "pytest_add_cli_args_test_selection": target.tests,
    }
    lines = ["[mutmut]"]
    for name, values in lists.items():
        if values:
            lines += [f"{name}=", *(f"    {value}" for value in values)]
    return "\n".join(lines) + "\n"


def _mutmut(folder: Path, *arguments: str, quiet: bool = False) -> str:
    """Runs mutmut with the packages of this environment beside its own."""
    python = own_venv.python(REQUIREMENTS)
    done = subprocess.run(
        [python, "-m", "mutmut", *arguments],
        cwd=folder,
        check=True,
        env={**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")},
        stdout=subprocess.PIPE if quiet else None,
        text=True,
    )
    return done.stdout or ""


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept:
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="slipway-mutants-") as made:
        yield Path(made)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.mutation", description=__doc__
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument(
        "--keep", type=Path, help="a new folder; `mutmut show NAME` works in it later"
    )
    given = parser.parse_args(arguments)
    target = TARGETS[given.target]
    with _folder(given.keep) as folder:
        _copy(target, folder)
        processes = str(len(os.sched_getaffinity(0)))
        _mutmut(folder, "run", "--max-children", processes)
        shown = _mutmut(folder, "results", "--all", "true", quiet=True)
    found = [line.strip().rpartition(": ")[::2] for line in shown.splitlines()]
    counts = Counter(status for _, status in found if status)
    functions = Counter(
        name.partition("__mutmut_")[0] for name, status in found if status == LIVES
    )
    for name, count in functions.most_common():
        print(f"{count:4} {name}")
    killed = sum(counts[status] for status in KILLED)
    tested = killed + counts[LIVES]
    print(
        f"{given.target}: {killed} of {tested} changes noticed "
        f"({100 * killed / max(tested, 1):.0f} %), {counts[UNTESTED]} in functions "
        "that these tests do not reach"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
