"""The files of requests: `requests/` in the store.

```
<id>.json            the request; gone once it is answered, for it may name a person
<id>.files/N/NAME    copies of its files; gone too
<id>.journal.jsonl   how far it has come; gone too
<id>.answer.json     the answer, kept for `retention.receipts_days`
```
Commands write requests while another process holds the store and may clear leftovers of
killed writes. So what is being written has names that only `tidy` deletes, when old.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from model_monitor.requests.answer import Answer
from model_monitor.requests.journal import Journal
from model_monitor.requests.request import ID, Request, Work
from model_monitor.store import whole_files
from model_monitor.store.store import Store

logger = logging.getLogger("model_monitor.requests")

REQUEST, FILES = ".json", ".files"
JOURNAL, ANSWER = ".journal.jsonl", ".answer.json"
WRITING = ".new-"
MOST_WAITING = 100
"""Requests that wait at a time."""
MOST_BYTES = 16 << 30
"""Maximum size of the files of one request."""
SPARE_BYTES = 256 << 20
"""Space that a copy leaves free on the store's disk."""
ABANDONED_SECONDS = 3_600.0
"""After which what a killed command left is deleted."""


class RequestRefusedError(Exception):
    """A request that is not written; the text is the value, the reason and the fix."""


class Inbox:
    """Writes and finds requests and answers; needs no lock of the store."""

    def __init__(self, store: Store) -> None:
        self.folder = store.root / "requests"

    def submit(self, request: Request) -> None:
        """Copy the files of a request, then write it. Raises RequestRefusedError."""
        whole_files.make_folder(self.folder)
        self._check(request)
        try:
            for number, given in enumerate(request.files):
                self._copy(Path(given), self._copied(request, number))
            self._check_copies(request)
            self._write(request)
        except BaseException:
            shutil.rmtree(self._path(request.id, FILES), ignore_errors=True)
            raise

    def waiting(self) -> list[str]:
        """Return the ids of requests without an answer, in their order."""
        names = self._names()
        ids = sorted(filter(None, map(_id, names)))
        return [it for it in ids if f"{it}{ANSWER}" not in names]

    def work(self, name: str) -> Work:
        """Return a waiting request. Raises BadRequestError and FileNotFoundError."""
        content = self._path(name, REQUEST).read_bytes()
        request = Request.of_content(name, content)
        numbers = range(len(request.files))
        paths = tuple(self._copied(request, number) for number in numbers)
        return Work(request, paths, is_kept=True)

    def journal(self, name: str) -> Journal:
        return Journal(self._path(name, JOURNAL), name)

    def answer(self, name: str) -> Answer | None:
        """Return the answer of a request, None before there is one."""
        try:
            return Answer.of_content(self._path(name, ANSWER).read_bytes())
        except FileNotFoundError:
            return None

    def put(self, answer: Answer) -> None:
        """Write an answer, and delete all else of its request."""
        whole_files.write_whole(self._path(answer.id, ANSWER), answer.content())
        self._clear(answer.id)

    def tidy(self, days: float) -> None:
        """Delete old answers, and what killed processes left."""
        names = self._names()
        for name in sorted(names):
            try:
                self._tidy(name, names, days)
            except OSError as error:
                logger.warning(
                    "cannot be deleted", extra={"file": name, "reason": str(error)}
                )

    def _tidy(self, name: str, names: set[str], days: float) -> None:
        path = self.folder / name
        if name.endswith(ANSWER):
            _delete_if_older(path, days * 86_400)
        elif (owner := _owner(name)) and f"{owner}{ANSWER}" in names:
            self._clear(owner)
        elif name.startswith(WRITING) or (owner and f"{owner}{REQUEST}" not in names):
            _delete_if_older(path, ABANDONED_SECONDS)

    def _names(self) -> set[str]:
        try:
            return {it.name for it in self.folder.iterdir()}
        except FileNotFoundError:
            return set()

    def _check(self, request: Request) -> None:
        waiting = len(self.waiting())
        if waiting >= MOST_WAITING:
            raise RequestRefusedError(
                f"{self.folder}: {waiting} requests wait, at most {MOST_WAITING} may; "
                "look at the monitor's log, and ask again when it has done some"
            )
        size = sum(Path(it).stat().st_size for it in request.files)
        if size > MOST_BYTES:
            raise RequestRefusedError(
                f"{', '.join(request.files)}: {size} bytes, at most {MOST_BYTES} for "
                "one request; split the files"
            )
        free = shutil.disk_usage(self.folder).free
        if size and size + SPARE_BYTES > free:
            raise RequestRefusedError(
                f"{', '.join(request.files)}: {size} bytes to copy, and {free} bytes "
                f"are free in {self.folder}; make room, or split the files"
            )

    def _copy(self, source: Path, target: Path) -> None:
        whole_files.make_folder(target.parent)
        shutil.copyfile(source, target)
        # A copy that was deleted meanwhile is reported before the request is written.
        with suppress(FileNotFoundError):
            target.chmod(whole_files.FILE_MODE)
            whole_files.sync(target)
            whole_files.sync(target.parent)

    def _check_copies(self, request: Request) -> None:
        """Refuse a request whose copies were deleted while they were made."""
        for number, given in enumerate(request.files):
            if not self._copied(request, number).is_file():
                raise RequestRefusedError(
                    f"{given}: its copy in {self.folder} was deleted before the "
                    "request was written, as what a killed command leaves is; look "
                    "who deletes files there, and ask again"
                )

    def _write(self, request: Request) -> None:
        with whole_files.temporary(self.folder, WRITING) as written:
            whole_files.write_new(written, request.content())
            whole_files.put(written, self._path(request.id, REQUEST))

    def _clear(self, name: str) -> None:
        # The request first: it may name a person.
        for ending in (REQUEST, FILES, JOURNAL):
            _remove(self._path(name, ending))

    def _copied(self, request: Request, number: int) -> Path:
        """Return where a copy lies: its own name says what it is."""
        name = Path(request.files[number]).name
        return self._path(request.id, FILES) / str(number) / name

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / f"{name}{ending}"


def _id(name: str) -> str:
    """Return the id of a request's file, "" of another file."""
    found = name.removesuffix(REQUEST)
    is_request = found != name and not name.endswith(ANSWER) and ID.fullmatch(found)
    return found if is_request else ""


def _owner(name: str) -> str:
    """Return the id that a file or folder belongs to, "" if it is not one of ours."""
    for ending in (JOURNAL, FILES, REQUEST):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return ""


def _delete_if_older(path: Path, seconds: float) -> None:
    """Delete what nothing has changed for some time, in a folder nothing below it."""
    newest = max(_changed(path), default=None)
    if newest is not None and newest < time.time() - seconds:
        _remove(path)


def _changed(path: Path) -> Iterator[float]:
    """Yield the time of the last change of a file, or of all in a folder and its own.

    A folder's own time stays while a file in it grows.
    """
    with suppress(FileNotFoundError):
        yield path.lstat().st_mtime
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                yield Path(folder, name).lstat().st_mtime


def _remove(path: Path) -> None:
    """Delete a file or a folder with all in it, a link itself."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        whole_files.remove(path)
