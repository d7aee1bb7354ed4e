"""The files of a model folder: which a graph reads, and whether they are the listed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from model_server.formats import FORMATS, ONNX, SAVED_MODEL
from model_server.manifest import ModelError
from model_server.onnx_files import external_files

GRAPH = FORMATS[ONNX].file
SAVED_GRAPH = FORMATS[SAVED_MODEL].file
SAVED_FOLDERS = ("variables", "assets")
"""Where a SavedModel has its weights, and the files that its graph reads."""
_PREFIX = "sha256:"


def check_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Check all that a model's session will read, and all that model.yaml lists.

    `digests` are model.yaml's, by the file's path in the folder; names of no file in
    the folder are left to whoever wrote them. Files are read in pieces, never whole.

    Raises `ModelError` with every file that is missing, is outside the folder, is
    not listed or has another digest; `ValueError` if the graph is not a whole message.
    """
    graph = folder / GRAPH
    unreadable: ValueError | None = None
    external: set[str] = set()
    try:
        external = {_plain(location) for location in external_files(graph)}
    except ValueError as error:
        unreadable = error  # its digest, if listed, tells more
    except OSError as error:
        raise ModelError([f"{graph}: {error.strerror}"]) from error
    _check(folder, GRAPH, external, digests)
    if unreadable:
        raise unreadable


def check_saved_model_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Check the same of a SavedModel: all files of its variables and assets are read.

    Raises `ModelError`.
    """
    _check(folder, SAVED_GRAPH, saved_model_files(folder), digests)


def saved_model_files(folder: Path) -> set[str]:
    """Return the files that a SavedModel reads beside its graph."""
    return {
        file.relative_to(folder).as_posix()
        for name in SAVED_FOLDERS
        for file in (folder / name).rglob("*")
        if not file.is_dir()
    }


def _check(
    folder: Path, graph: str, external: set[str], digests: Mapping[str, str]
) -> None:
    digests = {_plain(name): digest for name, digest in digests.items()}
    listed = {name for name in digests if _is_file(folder, name)}
    problems = [
        f"{folder}: {problem}"
        for name in [graph, *sorted((external | listed) - {graph})]
        for problem in _problems(folder, name, digests, is_external=name in external)
    ]
    if problems:
        raise ModelError(problems)


def _problems(
    folder: Path, name: str, digests: Mapping[str, str], *, is_external: bool
) -> list[str]:
    if not _is_inside(folder, name):
        problem = "is outside the model folder, from which nothing is read"
        return [f"{name!r} {problem}; put the file into the folder"]
    try:
        digest = digest_of(folder / name)
    except OSError as error:
        reader = "the graph reads its weights from it; " if is_external else ""
        return [f"{name}: {reader}{error.strerror}"]
    if not digests.get(name):
        if not is_external:
            return []
        problem = "the graph reads its weights from it, but model.yaml does not list it"
        fix = f"if it is the right one, add to digests: {name}: {digest}"
        return [f"{name}: {problem}; {fix}"]
    if digests[name].removeprefix(_PREFIX) != digest.removeprefix(_PREFIX):
        return [
            f"{name}: its digest is {digest}, model.yaml says another; copy it again"
        ]
    return []


def _plain(location: str) -> str:
    """Return a path without `./`, which exporters write and people leave out."""
    return str(PurePosixPath(location))


def _is_inside(folder: Path, name: str) -> bool:
    """Tell whether a path stays in the folder, links followed.

    The folder may itself be a link, and its files links to others in it, as those of a
    Kubernetes volume are.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return False
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # no file's name, or links in a circle
        return False


def _is_file(folder: Path, name: str) -> bool:
    return _is_inside(folder, name) and (folder / name).is_file()


def digest_of(file: Path) -> str:
    """Return a file's digest as model.yaml lists it; it is read in pieces."""
    with file.open("rb") as stream:
        return _PREFIX + hashlib.file_digest(stream, "sha256").hexdigest()
