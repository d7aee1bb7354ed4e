"""Sends files to a folder: a volume that the monitor reads too."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from pathlib import Path

from log_shipper.finished_file import READ_BYTES, FinishedFile
from log_shipper.names import LANDING
from log_shipper.sink import Refusal, RefusedError, Retry, UnavailableError

TEMPORARY = ".tmp-"
"""Names that begin so are read by nobody; a monitor that starts deletes such files."""
GROUP = stat.S_IRWXG


class FolderSink:
    """Writes whole files into `landing/`: a temporary name, fsync, rename.

    The temporary name follows from the file's, so that an attempt that was cut off
    leaves no rest: the next one writes over it. Who may read the local file may read
    the sent one: protected attributes stay closed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._landing = path / LANDING

    def send(self, file: FinishedFile) -> None:
        try:
            if not self._landing.is_dir():
                self._make_landing()
            final = self._landing / file.name
            if final.exists():
                self._compare(final, file)
                return
            temporary = self._landing / f"{TEMPORARY}{file.name}"
            self._write(temporary, file)
            temporary.rename(final)
            _sync(self._landing)
        except OSError as error:
            reason = f"{self._landing} cannot be written: {error}"
            raise UnavailableError(Retry.FOLDER, reason) from error

    def _make_landing(self) -> None:
        """Make the folder; never the one above, which is where a volume is mounted."""
        self._landing.mkdir()
        # The monitor moves files out of it, maybe as another user of the same group.
        self._landing.chmod(self._landing.stat().st_mode | GROUP)
        _sync(self._path)

    @staticmethod
    def _write(path: Path, file: FinishedFile) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        reader = file.compressed()
        with open(os.open(path, flags, file.mode), "wb") as target:  # noqa: PTH123
            while piece := reader.read(READ_BYTES):
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())

    @staticmethod
    def _compare(path: Path, file: FinishedFile) -> None:
        """Raise RefusedError unless the file of this name has the same content.

        Contents are compared, not compressed bytes: those may differ between versions
        of zlib.
        """
        content = hashlib.sha256()
        try:
            with gzip.open(path) as stored:
                while piece := stored.read(READ_BYTES):
                    content.update(piece)
            is_same = content.hexdigest() == file.content_sha256
        except (gzip.BadGzipFile, zlib.error, EOFError):
            is_same = False
        if not is_same:
            reason = f"{path} is there with other content"
            raise RefusedError(Refusal.CONFLICT, reason)


def _sync(folder: Path) -> None:
    """Make names in the folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
