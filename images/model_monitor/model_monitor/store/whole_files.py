"""Files that are written whole: whoever looks finds the old content or the new one.

A process that is killed while it writes leaves a file whose name begins with
`TEMPORARY`. Nothing reads such files, and the next start deletes them.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".tmp-"
FILE_MODE = 0o640


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a name to write to, in the folder of `path`, and rename it at the end.

    Makes the folder where it is missing. The file and its folder are on disk when the
    block has been left. If the block raises, `path` is as it was before.
    """
    make_folder(path.parent)
    with temporary(path.parent) as written:
        yield written
        put(written, path)


@contextmanager
def temporary(folder: Path, prefix: str = TEMPORARY) -> Iterator[Path]:
    """Yield a name for a new file; delete what has that name at the end."""
    path = folder / f"{prefix}{uuid.uuid4().hex}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder for files that get their names later; delete it at the end."""
    make_folder(parent)
    folder = parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole(path) as written:
        write_new(written, content)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that does not exist yet; `put` makes it last."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def put(written: Path, path: Path) -> None:
    """Give a finished file its name, so that a loss of power leaves it whole."""
    sync(written)
    written.replace(path)
    sync(path.parent)


def remove(path: Path) -> None:
    """Delete a file for good; one that is gone is not an error."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each known to the one that it lies in."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until the file, or the names in the folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_leftovers(root: Path) -> int:
    """Delete what killed writes left anywhere below `root`; return how many."""
    count = 0
    for folder, folders, files in os.walk(root):
        for name in [name for name in folders if name.startswith(TEMPORARY)]:
            folders.remove(name)
            shutil.rmtree(Path(folder, name), ignore_errors=True)
            count += 1
        for name in files:
            if name.startswith(TEMPORARY):
                Path(folder, name).unlink(missing_ok=True)
                count += 1
    return count
