"""The two checkouts that are compared: a folder as it is, or a revision of git's.

A revision's files are written by git into a temporary folder. The repository is only
read: no worktree is added to it, and no branch or index changes. Of neither may a link
lead out: the code that compares would read what is not of the change.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from slipway.preview.likeness import entries
from toolchain import paths
from toolchain.errors import WrongInputError

LONGEST_REASON = 300


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
    # Without a name it would be the current folder. False for one that is too long.
    if given and os.path.isdir(folder):  # noqa: PTH112
        if not (folder / "Pulumi.yaml").is_file():
            raise WrongInputError(
                f"{given}: there is no Pulumi.yaml in it, so it is not a checkout of "
                "Slipway; give a checkout's folder or a revision of git's"
            )
        found = Side(given, folder.resolve())
        check(found)
        return found
    commit = _commit(given)
    _extract(commit, out)
    found = Side(given, out, commit)
    check(found)
    return found


def _extract(commit: str, out: Path) -> None:
    """Writes the revision's files, all of them, into the new folder.

    By an index of its own. An archive would leave out what the revision's own
    .gitattributes says, and no reviewer would see that.
    """
    out.mkdir()
    there = {
        "GIT_DIR": _git_output("rev-parse", "--absolute-git-dir").decode().strip(),
        "GIT_WORK_TREE": str(out),
        "GIT_INDEX_FILE": str(out.with_name(f"{out.name}.index")),
    }
    tree = _git_output("rev-parse", f"{commit}:./").decode().strip()
    _git_output("read-tree", "--no-sparse-checkout", tree, folder=out, **there)
    _git_output("checkout-index", "--all", "--force", folder=out, **there)


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
                "  reason: it is not a regular file, and reading it may never end\n"
                "  fix: remove it"
            )


def _leads_out(given: str, name: str, target: str) -> WrongInputError:
    return WrongInputError(
        f"{given}: {name!r}, a link to {target!r}\n"
        "  reason: it leads out of the checkout\n"
        "  fix: make it a relative link within the checkout, or remove it"
    )


def judge(base: Side, head: Side) -> str:
    """Whose code compares: `base`, `head` or `other`.

    Only base's code is certain to be independent of the change.
    """
    for name, one in (("base", base), ("head", head)):
        if one.folder == paths.ROOT:
            return name
    try:
        if _git_output("status", "--porcelain", "--untracked-files=no"):
            return "other"
        commit = _git_output("rev-parse", "HEAD").decode().strip()
    except WrongInputError:  # no repository
        return "other"
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


def _git_output(*words: str, folder: Path | None = None, **environment: str) -> bytes:
    """What git prints; WrongInputError with its own words if it fails."""
    done = _git(*words, folder=folder, **environment)
    if done.returncode != 0:
        why = " ".join(done.stderr.decode(errors="replace").split())
        raise WrongInputError(
            f"git {words[0]} failed in {paths.ROOT}: {why[-LONGEST_REASON:]}\n"
            "  fix: run `git fsck` there; a shallow or partial clone may lack what the "
            "revision is made of: fetch it (git fetch --unshallow)"
        )
    return done.stdout


def _git(
    *words: str, folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Runs git without hooks: they are programs of the repository's owner."""
    options = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")
    try:
        return subprocess.run(
            ["git", *options, *words],
            cwd=folder or paths.ROOT,
            env=os.environ | environment,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise WrongInputError(
            "there is no program git, which revisions are taken from: install it, or "
            "give the folders of two checkouts"
        ) from None
