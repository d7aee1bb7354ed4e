"""Files and folders that appear whole: readers find the old content or the new one.

Each is made under a hidden name in the same folder and then renamed. An exception
leaves the old content and no other file.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OF_OWNER = 0o700
"""Mode bits of the owner: nobody else may read a file before its mode is set."""


def write(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a file whole, in place of one that may be there.

    mode: as of os.open, the umask clears bits of it. Without it, a replaced file's
    mode is kept, and a new file gets what the umask leaves of 0666. The content and its
    name are on disk at the end. Processes that write the same file at the same time do
    not disturb each other: the last content is kept. Raises OSError.
    """
    kept = None
    if mode is None:
        with suppress(FileNotFoundError):
            kept = stat.S_IMODE(path.stat().st_mode)
            mode = kept & OF_OWNER
    with _written(path, content, mode) as part:
        if kept is not None:
            part.chmod(kept)
        part.replace(path)
    sync(path.parent)


def create(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a new file whole; raise FileExistsError if the path exists.

    Of several processes that create the same file, one succeeds. As `write` otherwise;
    the file system must have hard links.
    """
    with _written(path, content, mode) as part:
        os.link(part, path)
    sync(path.parent)


@contextmanager
def made(target: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a free path for a file or folder, and rename it to `target` at the end.

    For what programs make. The name ends like the target's, by which programs choose a
    format. It is always the same, so what a killed process left is deleted by the next
    one: the caller holds a lock. With `replace`, a folder in the target's place is
    deleted; without it, one that is not empty is an OSError. After a loss of power, a
    file is whole or absent, but a folder may lack content: folders are for what can be
    made again.
    """
    part = target.with_name(f".part-{target.name}")
    _remove(part)
    try:
        yield part
        if part.is_dir():
            if replace and target.is_dir():
                shutil.rmtree(target)
        else:
            sync(part)
        part.rename(target)
        sync(target.parent)
    except BaseException:
        with suppress(OSError):
            _remove(part)
        raise


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _written(path: Path, content: str | bytes, mode: int | None) -> Iterator[Path]:
    """Yield a file of another name with the content on disk; delete it at the end."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(part, flags, 0o666 if mode is None else mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        with suppress(OSError):
            part.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
