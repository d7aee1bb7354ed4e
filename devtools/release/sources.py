"""The files of a checkout that a release is built from, apart from everything else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from toolchain.errors import WrongInputError


def copy(checkout: Path, target: Path) -> int:
    """Copies what git tracks or would track; returns the number of files."""
    listed = _git(checkout, "ls-files", "-z", "--cached", "--others", "--deduplicate")
    ignored = _git(checkout, "ls-files", "-z", "--others", "--ignored")
    names = set(listed.split("\0")) - set(ignored.split("\0"))
    there = sorted(name for name in names if name and (checkout / name).is_file())
    for name in there:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(checkout / name, target / name)
    return len(there)


def refuse_changes(checkout: Path) -> None:
    """WrongInputError if the checkout has anything that no commit has."""
    changed = _git(checkout, "status", "--porcelain").splitlines()
    if changed:
        raise WrongInputError(
            f"{checkout}: {len(changed)} files are not as the last commit has them, "
            f"such as {changed[0][3:]}, so nobody could build the same release; commit "
            "or remove them, or try it out with --working-tree"
        )


def epoch(checkout: Path) -> int:
    """Seconds since 1970 that files of the release are dated with.

    SOURCE_DATE_EPOCH, else the time of the last commit
    (https://reproducible-builds.org/specs/source-date-epoch/).
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given and not given.isdigit():
        raise WrongInputError(
            f"SOURCE_DATE_EPOCH={given!r}: it is not a number; give seconds since 1970"
        )
    return int(given or _git(checkout, "show", "--no-patch", "--format=%ct"))


def _git(checkout: Path, *words: str) -> str:
    command = ["git", "-C", str(checkout), *words]
    if words[0] == "ls-files":
        command.append("--exclude-standard")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongInputError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}; "
            "a release is made in a clone of the repository"
        )
    return done.stdout
