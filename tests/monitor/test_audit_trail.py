"""The audit trail reads what is new of a chain, and notices what was changed."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from model_monitor.api import audit_trail
from model_monitor.api.audit_trail import WHOLE_AFTER_SECONDS, AuditTrail
from model_monitor.audit import Chain, Verdict, verify


class Reads:
    """Counts how many entries each verification reads."""

    def __init__(self) -> None:
        self.since: list[int] = []
        self.hold = threading.Event()
        self.began = threading.Event()
        self.hold.set()

    def verify(self, path: Path, *, since: Verdict | None = None) -> Verdict:
        self.since.append(since.entries if since else 0)
        self.began.set()
        assert self.hold.wait(30)
        return verify(path, since=since)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    found = Reads()
    monkeypatch.setattr(audit_trail, "verify", found.verify)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "chain.jsonl"
    add(found, 5)
    return found


def add(path: Path, number: int) -> None:
    for it in range(number):
        Chain(path).append("tested", {"number": it, "who": "canary"})


def told(trail: AuditTrail) -> Any:
    return trail.newest(1)["verification"]


def change(
    path: Path, line: int, old: bytes = b"canary", new: bytes = b"nobody"
) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_bytes(b"".join(lines))


def test_only_what_is_new_is_read(path: Path, reads: Reads) -> None:
    trail = AuditTrail(path)
    for entries in (5, 6, 8):
        add(path, entries - verify(path).entries)
        found = told(trail)
        assert (found["is_intact"], found["entries"]) == (True, entries)
        assert told(trail) == found
    assert reads.since == [0, 5, 6]


@pytest.mark.parametrize("what", ["hash", "tail"])
def test_new_entries_that_are_none_are_noticed(
    path: Path, reads: Reads, what: str
) -> None:
    trail = AuditTrail(path)
    assert told(trail)["is_intact"]
    add(path, 3)
    if what == "hash":
        change(path, 7)
    else:
        path.write_bytes(path.read_bytes()[:-1])
    found = told(trail)
    line = 7 if what == "hash" else 8
    assert found["broken"]["what"] == what
    assert (found["broken"]["line"], found["entries"]) == (line, line - 1)
    assert found["head"]["sequence"] == line - 1
    assert set(reads.since[1:]) <= {5, line - 1}


def test_a_tail_that_is_cut_is_intact_again(path: Path) -> None:
    trail = AuditTrail(path)
    with path.open("ab") as file:
        file.write(b'{"sequence":6')
    assert told(trail)["broken"]["what"] == "tail"
    add(path, 1)
    found = told(trail)
    assert (found["is_intact"], found["entries"]) == (True, 7)


@pytest.mark.parametrize(
    "how", ["same size", "shorter", "head", "another file", "after a day"]
)
def test_a_change_of_what_was_read_is_noticed(path: Path, how: str) -> None:
    now = 0.0
    trail = AuditTrail(path, lambda: now)
    assert told(trail)["is_intact"]
    if how == "same size":
        change(path, 2)
    elif how == "shorter":
        change(path, 2, b"canary", b"")
    elif how == "head":
        change(path, 5, b"canary", b"somebody")
        add_line(path)
    elif how == "another file":
        copy = path.with_name("copy")
        copy.write_bytes(path.read_bytes())
        change(copy, 2)
        add_line(copy)
        copy.replace(path)
    else:
        change(path, 2)
        add(path, 1)
        # What lies before the entries that were read is not read again at once.
        assert told(trail)["is_intact"]
        now = WHOLE_AFTER_SECONDS
    found = told(trail)
    assert not found["is_intact"]
    assert found["broken"]["line"] == (5 if how == "head" else 2)


def add_line(path: Path) -> None:
    """Make the file longer, by a line that matters only behind a break."""
    with path.open("ab") as file:
        file.write(b"{}\n")


def test_one_request_reads_and_the_others_get_the_last_verdict(
    path: Path, reads: Reads
) -> None:
    trail = AuditTrail(path)
    before = told(trail)
    add(path, 1)
    reads.hold.clear()
    reads.began.clear()
    reader = threading.Thread(target=told, args=[trail])
    reader.start()
    try:
        assert reads.began.wait(30)
        # These would wait for as long as the reader does.
        assert [told(trail) for _ in range(3)] == [before] * 3
        assert trail.newest(1)["entries"][0]["sequence"] == 6
    finally:
        reads.hold.set()
        reader.join(30)
    assert reads.since == [0, 5]
    assert told(trail)["entries"] == 6


def test_nothing_is_reported_while_the_first_request_reads(
    path: Path, reads: Reads
) -> None:
    trail = AuditTrail(path)
    reads.hold.clear()
    reader = threading.Thread(target=told, args=[trail])
    reader.start()
    try:
        assert reads.began.wait(30)
        assert told(trail) is None
    finally:
        reads.hold.set()
        reader.join(30)
    assert told(trail)["entries"] == 5


def test_a_file_that_is_touched_is_read_anew(path: Path, reads: Reads) -> None:
    trail = AuditTrail(path)
    told(trail)
    os.utime(path, (1, 1))
    assert told(trail)["is_intact"]
    assert reads.since == [0, 0]
