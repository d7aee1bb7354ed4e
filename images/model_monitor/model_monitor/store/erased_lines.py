"""Erasure in quarantine: lines of one subject in files that could not be read."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from model_monitor.store import quarantine, whole_files
from model_monitor.store.limits import Limits
from model_monitor.store.lines import FileTroubleError, LinesFile
from model_monitor.store.scalars import canonical

_IDS = re.compile(rb'"id"\s*:\s*"([^"\\]*)"')
_GZIP = b"\x1f\x8b"
_ROW = re.compile(rb'"row"\s*:\s*(-?\d+)')
_ROWS = range(-(1 << 31), 1 << 31)
"""Row numbers that a kept record can have."""

UNIT = "unit"
"""Field of a record with the hash of the caller whom an experiment assigned."""

Key = tuple[str, int]
"""The id and row of a record."""


class ErasedLines:
    """Finds lines by a field's value, or by the ids and rows of a subject.

    A line that is not a JSON object is searched as text, and goes if the field with the
    value, or one of the ids, stands in it.
    """

    def __init__(self, field: str, value: str, limits: Limits) -> None:
        self._field, self._value, self._limits = field, value, limits
        self._subject: set[Key] = set()
        self._ids: set[bytes] = set()
        texts = {value, json.dumps(value), json.dumps(value, ensure_ascii=False)}
        values = b"|".join(re.escape(it.encode()) for it in sorted(texts))
        name = re.escape(json.dumps(field, ensure_ascii=False).encode())
        self._pattern = re.compile(name + rb"\s*:\s*(?:" + values + rb")(?![0-9.eE])")
        self.unsearched: set[str] = set()
        """Names of quarantined files that were read in part or not at all."""

    def of_subject(self, keys: Iterable[Key]) -> None:
        """Set the ids and rows whose lines go too."""
        self._subject = set(keys)
        self._ids = {identifier.encode() for identifier, _ in self._subject}

    def named(self, paths: Iterable[Path]) -> set[Key]:
        """Return the ids and rows of the lines of files that have the value.

        What cannot be read of a file is left out.
        """
        return {
            key
            for path in paths
            for line in self._readable(path)
            if self._is_named(line, _record(line)) and (key := _key(line))
        }

    def erase(
        self,
        folder: Path,
        announce: Callable[[Path, int, str], None],
        *,
        but_named: bool = False,
    ) -> Iterator[tuple[Path, tuple[str, int]]]:
        """Rewrite the files of a folder without such lines.

        Yields each changed file with its digest before and the lines that it lost. A
        file that has no line left is deleted, and its report with it. announce: called
        before each change with file, lines and digest. but_named: leave the lines that
        have the value, because they have the ids.
        """
        for path in lines_of(folder):
            with path.open("rb") as file:
                is_gzip = file.read(2) == _GZIP
                file.seek(0)
                before = hashlib.file_digest(file, "sha256").hexdigest()
            kept, erased = self._split(path, is_gzip=is_gzip, but_named=but_named)
            if not erased:
                continue
            announce(path, erased, before)
            if kept:
                content = b"".join(kept)
                if is_gzip:
                    content = gzip.compress(content, mtime=0)
                whole_files.write_whole(path, content)
            else:
                whole_files.remove(path)
                whole_files.remove(path.with_name(path.name + quarantine.REASON))
            yield path, (before, erased)

    def _split(
        self, path: Path, *, is_gzip: bool, but_named: bool
    ) -> tuple[list[bytes], int]:
        """Return the lines to keep and the number of the others."""
        kept, erased = [], 0
        try:
            for line in self._lines(path, is_gzip=is_gzip):
                if self._goes(line, but_named=but_named):
                    erased += 1
                else:
                    kept.append(line + b"\n")
        except FileTroubleError:
            self.unsearched.add(path.name)
        return kept, erased

    def _readable(self, path: Path) -> Iterator[bytes]:
        """Yield the lines of a file as far as it can be read."""
        with suppress(FileTroubleError, OSError):
            with path.open("rb") as file:
                is_gzip = file.read(2) == _GZIP
            yield from self._lines(path, is_gzip=is_gzip)

    def _lines(self, path: Path, *, is_gzip: bool) -> Iterator[bytes]:
        """Yield all lines without their line feeds. Raises FileTroubleError."""
        for chunk in LinesFile(path, self._limits, is_gzip=is_gzip).chunks():
            bad = {line.line: line.content for line in chunk.bad}
            for number, text in enumerate(chunk.text.split("\n"), chunk.first_line):
                yield bad.get(number, text.encode())

    def _goes(self, line: bytes, *, but_named: bool) -> bool:
        record = _record(line)
        if self._is_named(line, record):
            return not but_named
        return self._is_of_subject(line, record)

    def _is_of_subject(self, line: bytes, record: dict[str, Any] | None) -> bool:
        if self._field == "id":
            # The others do not have the value.
            return False
        if record is None:
            return any(found in self._ids for found in _IDS.findall(line))
        return _key_of(record) in self._subject

    def _is_named(self, line: bytes, record: dict[str, Any] | None) -> bool:
        """Tell whether a line has the value in the field."""
        if record is None:
            return bool(self._pattern.search(line))
        if self._field == "id":
            return bool(record.get("id") == self._value)
        if self._field == UNIT and record.get(UNIT) == self._value:
            return True
        named = (record.get(it) for it in ("features", "attributes"))
        return any(
            isinstance(values, dict)
            and self._field in values
            and canonical(values[self._field]) == self._value
            for values in named
        )


def lines_of(quarantined: Path) -> list[Path]:
    """Return the files of lines in quarantine: neither reports nor what is written."""
    return [
        path
        for path in sorted(quarantined.iterdir())
        if not path.name.startswith(".") and not path.name.endswith(quarantine.REASON)
    ]


def _record(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line, None if it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _key(line: bytes) -> Key | None:
    """Return the id and row of a line, None if it has none."""
    if (record := _record(line)) is not None:
        return _key_of(record)
    ids, row = set(_IDS.findall(line)), _ROW.search(line)
    if len(ids) != 1:
        return None
    identifier = ids.pop().decode(errors="replace")
    return _key_of({"id": identifier, "row": int(row[1]) if row else 0})


def _key_of(record: dict[str, Any]) -> Key | None:
    identifier, row = record.get("id"), record.get("row", 0)
    if isinstance(identifier, str) and isinstance(row, int) and row in _ROWS:
        return identifier, int(row)
    return None
