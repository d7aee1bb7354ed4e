"""Unreadable data, kept unchanged, with a report of the reasons.

`quarantine/<name>` is the landed file itself if it cannot be read to its end, otherwise
a compressed file of only the bad lines. `quarantine/<name>.reason.json` gives reasons,
counts and line numbers, and never a value.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from model_monitor.audit.chain import Chain
from model_monitor.store import whole_files
from model_monitor.store.checks import FIXES
from model_monitor.store.lines import BadLine
from model_monitor.store.store import Store

REASON = ".reason.json"
FILE_FIXES = {
    "bad_lines": "send the corrected lines under another name",
    "not_gzip": "send the file compressed with gzip, as its name says",
    "damaged_gzip": "send the file again; nothing of it was kept",
    "truncated_gzip": "send the whole file again under the same name; the lines before "
    "its end were kept and will be replaced",
    "trailing_data": "send gzip members alone; what stands before other data was kept",
    "too_large": "raise the limit and move the file back to landing/; the lines up to "
    "the limit were kept and will be replaced",
    "too_many_parts": "raise the limit and move the file back to landing/, or look why "
    "it has records of so many hours, models and revisions",
    "name_taken": "send it under another name; a file of this name with other content "
    "was read before",
    "no_file": "put regular files into landing/, neither links nor folders",
}
"""The fix for each reason of a whole file."""


@dataclass
class Tally:
    """The bad lines of one file, by reason."""

    most_lines: int
    """Line numbers that are kept for each reason."""
    counts: Counter[str] = field(default_factory=Counter)
    """By the code of the reason."""
    fields: dict[str, Counter[str]] = field(default_factory=dict)
    first_lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, bad: BadLine) -> None:
        code, _, blamed = bad.reason.partition(" ")
        self.counts[code] += 1
        lines = self.first_lines.setdefault(code, [])
        if len(lines) < self.most_lines:
            lines.append(bad.line)
        if blamed:
            self.fields.setdefault(code, Counter())[blamed] += 1

    def report(self) -> dict[str, Any]:
        return {
            code: {
                "lines": count,
                "first_lines": self.first_lines[code],
                "fields": dict(sorted(self.fields.get(code, {}).items())),
                "fix": FIXES[code],
            }
            for code, count in sorted(self.counts.items())
        }


class BadLines:
    """A compressed file that bad lines are added to, in bounded memory.

    A context manager. Nothing is written before the first bad line. The same lines give
    the same bytes.
    """

    def __init__(self, folder: Path, most_lines: int) -> None:
        self._path = folder / f"{whole_files.TEMPORARY}{uuid.uuid4().hex}"
        self._stack = ExitStack()
        self._file: gzip.GzipFile | None = None
        self.tally = Tally(most_lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._path.unlink(missing_ok=True)

    def add(self, lines: Iterable[BadLine]) -> None:
        for line in lines:
            if self._file is None:
                file = self._stack.enter_context(self._path.open("wb"))
                self._file = self._stack.enter_context(
                    gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0)
                )
            self.tally.add(line)
            self._file.write(line.content + b"\n")

    def keep(self, folder: Path, name: str) -> Path:
        """Put the file into quarantine under a free name; return its path.

        There must be a bad line.
        """
        self._stack.close()
        path = free_path(folder, name, self._path)
        whole_files.put(self._path, path)
        return path


def free_path(folder: Path, name: str, content: Path) -> Path:
    """Return a path for content, one of its own if the name has other content."""
    path = folder / name
    if not path.exists() or (digest := _digest(content)) == _digest(path):
        return path
    stem, dot, endings = name.partition(".")
    return folder / f"{stem}-{digest[:12]}{dot}{endings}"


def report(
    store: Store, path: Path, content: Mapping[str, Any], now: dt.datetime
) -> None:
    """Write the report beside a quarantined file, and what it says to the audit chain.

    content: `file`, `reason`, `fix`, `lines`, `kept` and `bad`, which is that of
    `Tally.report`. Nothing is written twice.
    """
    file = path.with_name(path.name + REASON)
    if file.exists():
        known = json.loads(file.read_text())
        if {key: value for key, value in known.items() if key != "time"} == content:
            return
    moment = now.astimezone(dt.UTC).isoformat()
    text = json.dumps({**content, "time": moment}, indent=2, sort_keys=True)
    whole_files.write_whole(file, text.encode())
    lines = {reason: entry["lines"] for reason, entry in content["bad"].items()}
    details = {"name": path.name, "reason": content["reason"], "lines": lines}
    Chain(store.chain).append("quarantined", details, now=now)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
