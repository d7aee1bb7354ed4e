"""The two checkouts that are compared: a folder as it is, or a revision of git's.

A revision is taken from `git archive` into a temporary folder. The repository is only
read: no worktree is added to it, and no branch or index changes. Of neither may a link
lead out: the code that compares would read what is not of the change.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from slipway.preview.likeness import entries
from toolchain import paths
from toolchain.errors import WrongInputError


@dataclass(frozen=True)
class Side:
    """One of the two checkouts."""

    name: str
    """The argument: a folder or a revision."""
    folder: Path
    commit: str = ""
    """Full name; none for a folder, whose files may have changed since."""


def side(given: str, out: Path) -> Side:
    """The checkout that `given` names; a revision's files are written into `out`.

    WrongInputError if it is neither a folder with Pulumi.yaml nor a revision, or has a
    link that leads out of it.
    """
    folder = Path(given)
    if folder.is_dir():
        if not (folder / "Pulumi.yaml").is_file():
            raise WrongInputError(
                f"{given}: there is no Pulumi.yaml in it, so it is not a checkout of "
                "Slipway; give a checkout's folder or a revision of git's"
            )
        found = Side(given, folder.resolve())
        check(found)
        return found
    commit = _commit(given)
    out.mkdir()
    try:
        _extract(commit, out)
    except tarfile.FilterError as error:
        name, target = error.tarinfo.name, error.tarinfo.linkname
        raise _leads_out(given, name, target) from None
    return Side(given, out, commit)


def check(one: Side) -> None:
    """WrongInputError for a link that leads out of the side's folder, or a pipe.

    Also to be called after the side's own code has run there.
    """
    try:
        _check(one)
    except OSError as error:
        raise WrongInputError(f"{one.name}: it cannot be read: {error}") from None


def _check(one: Side) -> None:
    root = os.path.realpath(one.folder)
    for name, entry in entries(root, ""):
        if entry.is_symlink():
            if not os.path.realpath(entry.path).startswith(f"{root}/"):
                raise _leads_out(one.name, name, os.readlink(entry.path))  # noqa: PTH115
        elif not entry.is_file():
            raise WrongInputError(
                f"{one.name}: {name!r}, a pipe, a socket or a device\n"
                "  reason: it is no file, and reading it may never end\n"
                "  fix: remove it"
            )


def _leads_out(given: str, name: str, target: str) -> WrongInputError:
    return WrongInputError(
        f"{given}: {name!r}, a link to {target!r}\n"
        "  reason: it leads out of the checkout\n"
        "  fix: make it a relative link within the checkout, or remove it"
    )


def _extract(commit: str, out: Path) -> None:
    """Writes the revision's files; tarfile.FilterError for what leads out of `out`."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit).stdout)) as archive:
        archive.extractall(out, filter="data")


def judge(base: Side, head: Side) -> str:
    """Whose code compares: `base`, `head` or `other`.

    Only base's code is certain to be independent of the change.
    """
    for name, one in (("base", base), ("head", head)):
        if one.folder == paths.ROOT:
            return name
    if _git("status", "--porcelain", "--untracked-files=no").stdout:
        return "other"
    commit = _git("rev-parse", "HEAD").stdout.decode().strip()
    return {head.commit: "head", base.commit: "base"}.get(commit or "none", "other")


def _commit(revision: str) -> str:
    spec = f"{revision}^{{commit}}"
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", spec)
    if done.returncode != 0:
        raise WrongInputError(
            f"{revision}: neither a folder nor a revision of the repository in "
            f"{paths.ROOT}; a shallow clone lacks older revisions: fetch it first"
        )
    return done.stdout.decode().strip()


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", *words], cwd=paths.ROOT, capture_output=True, check=False
    )
