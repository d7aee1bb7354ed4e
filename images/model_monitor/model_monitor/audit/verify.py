"""Verifies that an audit chain is unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from model_monitor.audit.chain import ENTRY_BYTES
from model_monitor.audit.entry import FIRST_PREVIOUS, Entry


@dataclass(frozen=True)
class Anchor:
    """A newest entry as it once was, kept where those who write the chain cannot."""

    sequence: int
    hash: str


@dataclass(frozen=True)
class Break:
    """The first place where the chain is not as it was written."""

    line: int
    """Line in the file, from 1; one more than there are if the end is missing."""
    what: str
    """form, hash, sequence, previous, time, tail or anchor."""
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The result of a chain's verification."""

    entries: int
    """Number of complete entries before the break, or of all."""
    head: Anchor | None
    """The newest of them; keep it as the next anchor."""
    broken: Break | None
    head_offset: int = 0
    """Offset of the newest of them in the file, in bytes."""

    @property
    def is_intact(self) -> bool:
        return self.broken is None


def verify(
    path: Path, anchor: Anchor | None = None, *, since: Verdict | None = None
) -> Verdict:
    """Read a chain from its first entry; stop at the first break.

    since: an earlier verdict on the file. Entries before its head are not read again;
    if the head is not where it was, all are. Without an anchor, entries that were cut
    off the end cannot be noticed. An unfinished last line is a break (`tail`): it is
    what a killed write left, or a change.
    """
    broken: Break | None = None
    with path.open("rb") as file:
        last = _head(file, since)
        number = last.sequence if last else 0
        offset, begin = file.tell(), since.head_offset if since and last else 0
        while broken is None and (line := file.readline(ENTRY_BYTES + 1)):
            number += 1
            found = _read(line, number, last, anchor)
            if isinstance(found, Break):
                broken = found
            else:
                last, begin = found, offset
                offset += len(line)
    if broken is None and anchor and (last.sequence if last else 0) < anchor.sequence:
        broken = Break(
            number + 1,
            "anchor",
            f"the chain ends before entry {anchor.sequence}, which the anchor names: "
            "its end was cut off",
        )
    head = Anchor(last.sequence, last.hash) if last else None
    return Verdict(last.sequence if last else 0, head, broken, begin)


def _head(file: BinaryIO, since: Verdict | None) -> Entry | None:
    """Return the head of a verdict, and stand behind it; None, and at 0, without."""
    if since is None or since.head is None:
        return None
    file.seek(since.head_offset)
    try:
        entry = Entry.of_line(file.readline(ENTRY_BYTES + 1).removesuffix(b"\n"))
    except ValueError:
        entry = None
    if entry and Anchor(entry.sequence, entry.hash) == since.head:
        return entry
    file.seek(0)
    return None


def _read(
    line: bytes, number: int, last: Entry | None, anchor: Anchor | None
) -> Entry | Break:
    """Return the entry of a line, or how it breaks the chain."""
    if not line.endswith(b"\n"):
        return Break(number, "tail", "the last line is unfinished")
    try:
        entry = Entry.of_line(line[:-1])
    except ValueError as error:
        what, _, reason = str(error).partition(": ")
        return Break(number, what, reason)
    expected = last.sequence + 1 if last else 1
    checks = (
        (
            entry.sequence == expected,
            "sequence",
            f"entry {entry.sequence} stands where {expected} belongs",
        ),
        (
            entry.previous == (last.hash if last else FIRST_PREVIOUS),
            "previous",
            "`previous` is not the hash of the entry above",
        ),
        (
            not last or entry.time >= last.time,
            "time",
            "the entry is older than the one above",
        ),
        (
            not anchor
            or entry.sequence != anchor.sequence
            or entry.hash == anchor.hash,
            "anchor",
            "the entry is not the one that the anchor names",
        ),
    )
    for holds, what, reason in checks:
        if not holds:
            return Break(number, what, reason)
    return entry
