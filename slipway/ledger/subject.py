"""Registered data of a revision: digests of its image, files, code and data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import yaml_text
from toolchain.digests import sha256_of
from toolchain.errors import WrongInputError

MANIFEST = "model.yaml"
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
"""Same as the model server reads from model.yaml."""
_IMAGE = re.compile(r"(?:[^\s@]+@)?sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Given:
    """Command-line data of a revision; `folder` is a model folder."""

    model: str
    revision: str = ""
    """Without one, that of model.yaml."""
    folder: Path | None = None
    image: str = ""
    commit: str = ""
    parent: str = ""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The content of a folder's model.yaml; WrongInputError if it has none."""
    path = folder / MANIFEST
    try:
        found = yaml_text.read(path.read_text(), str(path))
    except (OSError, ValueError, yaml_text.YamlError) as error:
        raise WrongInputError(
            f"{path}: cannot be read as YAML ({error}); give a model folder, and try "
            "it with `slipway models check`"
        ) from None
    if not isinstance(found, dict):
        raise WrongInputError(f"{path}: must be a mapping of keys to values")
    return found


def describe(given: Given) -> tuple[str, dict[str, Any]]:
    """The revision's name and its subject; WrongInputError lists all that is wrong."""
    manifest = read_manifest(given.folder) if given.folder else {}
    files = _files(given.folder) if given.folder else []
    revision = given.revision or str(manifest.get("revision", ""))
    digests = _digests(manifest)
    problems = [
        *_problems(given, manifest, revision),
        *_differing(digests, {it["path"]: it["sha256"] for it in files}),
    ]
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise WrongInputError(f"{given.model}: nothing was registered:{lines}")
    subject = {
        "image": given.image,
        "files": files,
        "digests": digests,
        "commit": given.commit,
        "parent": given.parent,
        "derived_from": derivation(manifest),
    }
    return revision, {key: value for key, value in subject.items() if value}


def derivation(manifest: dict[str, Any]) -> dict[str, str]:
    """The revision that a model was made from by `slipway optimize`, and the recipe.

    Empty for a model that was trained; contracts/derived_model.yaml has the rest.
    """
    found = manifest.get("derived_from")
    if not isinstance(found, dict):
        return {}
    return {key: str(found[key]) for key in ("revision", "recipe") if key in found}


def evidence(files: Iterable[Path]) -> list[dict[str, str]]:
    """Names and digests of reports: of tests, gates, cards."""
    return [{"name": path.name, "sha256": _sha256(path)} for path in files]


def _problems(given: Given, manifest: dict[str, Any], revision: str) -> Iterable[str]:
    if not given.folder and not given.image:
        yield "--folder, --image: give one of them, so that the revision has a digest"
    if given.image and not _IMAGE.fullmatch(given.image):
        yield (
            f"--image: {given.image!r} has no digest, and a tag can be moved; give "
            "NAME@sha256:... of what was pushed"
        )
    if given.commit and not _COMMIT.fullmatch(given.commit):
        yield f"--commit: {given.commit!r} is not a commit's full hash; `git rev-parse`"
    if not REVISION.fullmatch(revision):
        yield (
            f"--revision: {revision!r} is not a revision; give one of the form "
            f"{REVISION.pattern}, or `revision` in {MANIFEST}"
        )
    for key, wanted in (("name", given.model), ("revision", revision)):
        if manifest and manifest.get(key) != wanted:
            yield (
                f"{given.folder}/{MANIFEST}: {key} is {manifest.get(key)!r}, and "
                f"{wanted!r} was asked for; give the folder of that one"
            )


def _digests(manifest: dict[str, Any]) -> dict[str, str]:
    found = manifest.get("digests")
    if not isinstance(found, dict):
        return {}
    return {str(key): str(value) for key, value in found.items()}


def _differing(digests: dict[str, str], files: dict[str, str]) -> Iterable[str]:
    for path, sha256 in files.items():
        said = digests.get(path, sha256).removeprefix("sha256:")
        if said != sha256:
            yield (
                f"{path}: its sha256 is {sha256}, {MANIFEST} says {said}; copy the "
                "folder again"
            )


def _files(folder: Path) -> list[dict[str, str]]:
    """All files of the folder by path; links are followed, as a server does."""
    found = sorted(it for it in folder.rglob("*") if it.is_file())
    return [
        {"path": it.relative_to(folder).as_posix(), "sha256": _sha256(it)}
        for it in found
    ]


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise WrongInputError(
            f"{path}: {error.strerror}; give a file that can be read"
        ) from None
