"""The audit chain: what is added, what a kill leaves, and what a change breaks."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from model_monitor.audit import Anchor, Chain, ChainError, verify
from model_monitor.audit.canonical import canonical, digest
from model_monitor.audit.entry import FIELDS, FIRST_PREVIOUS

from toolchain import paths

CONTRACT = yaml.safe_load((paths.ROOT / "contracts/audit_chain.yaml").read_text())
NOW = dt.datetime(2026, 11, 29, 14, tzinfo=dt.UTC)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "chain.jsonl"
    for number in range(4):
        Chain(path).append(
            "labels_imported",
            {"name": f"ü{number}.csv", "accepted": number},
            actor="someone",
            now=NOW + dt.timedelta(seconds=number),
        )
    return path


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_an_entry_by_the_contract_alone(chain: Path) -> None:
    """Written out with nothing but json and hashlib."""
    previous = CONTRACT["first_previous"]
    for number, line in enumerate(lines(chain)):
        content = {
            "sequence": number + 1,
            "time": f"2026-11-29T14:00:0{number}.000000Z",
            "actor": "someone",
            "action": "labels_imported",
            "details": {"name": f"ü{number}.csv", "accepted": number},
            "previous": previous,
        }

        def as_text(value: dict[str, Any]) -> bytes:
            return json.dumps(
                value, sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).encode()

        previous = hashlib.sha256(as_text(content)).hexdigest()
        assert line == as_text({**content, "hash": previous}) + b"\n"
    assert verify(chain).head == Anchor(4, previous)


def test_the_contract_says_what_the_code_does() -> None:
    assert set(CONTRACT["fields"]) == set(FIELDS)
    assert CONTRACT["first_previous"] == FIRST_PREVIOUS


def test_every_action_that_the_monitor_writes_is_in_the_contract() -> None:
    source = "".join(
        file.read_text()
        for file in (paths.ROOT / "images/model_monitor/model_monitor").rglob("*.py")
    )
    for action in (
        "labels_imported",
        "erased",
        "quarantined",
        "retraining_requested",
        "tail_cut",
    ):
        assert f'"{action}"' in source
        assert action in CONTRACT["actions"]


def test_an_untouched_chain_is_intact(chain: Path) -> None:
    verdict = verify(chain)
    assert (verdict.is_intact, verdict.entries) == (True, 4)


def test_an_empty_chain_is_intact(tmp_path: Path) -> None:
    (tmp_path / "chain.jsonl").touch()
    verdict = verify(tmp_path / "chain.jsonl")
    assert (verdict.is_intact, verdict.entries, verdict.head) == (True, 0, None)


def altered(line: bytes, *, rehash: bool, **changes: Any) -> bytes:
    entry = {**json.loads(line), **changes}
    if rehash:
        entry["hash"] = digest({key: it for key, it in entry.items() if key != "hash"})
    return canonical(entry) + b"\n"


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("field", [it for it in FIELDS if it != "hash"])
def test_an_altered_entry_is_found(chain: Path, number: int, field: str) -> None:
    changes = {
        "sequence": 9,
        "time": "2026-11-29T15:00:00.000000Z",
        "details": {"name": "else", "accepted": 0},
    }
    found = lines(chain)
    change = {field: changes.get(field, "else")}
    found[number] = altered(found[number], rehash=False, **change)
    chain.write_bytes(b"".join(found))
    broken = verify(chain).broken
    assert broken
    assert (broken.line, broken.what) == (number + 1, "hash")


@pytest.mark.parametrize("number", range(3))
def test_an_entry_with_a_new_hash_breaks_the_link_to_the_next(
    chain: Path, number: int
) -> None:
    found = lines(chain)
    found[number] = altered(found[number], rehash=True, actor="else")
    chain.write_bytes(b"".join(found))
    broken = verify(chain).broken
    assert broken
    assert (broken.line, broken.what) == (number + 2, "previous")


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (lambda it: it[1:], 1, "sequence"),
        (lambda it: [it[0], *it[2:]], 2, "sequence"),
        (lambda it: [it[0], it[2], it[1], it[3]], 2, "sequence"),
        (lambda it: [it[0], *it], 2, "sequence"),
        (lambda it: [it[0], b"\n", *it[1:]], 2, "form"),
        (lambda it: [it[0], b"[" * 100_000 + b"\n", *it[1:]], 2, "form"),
        (lambda it: [it[0], b"[]\n", *it[1:]], 2, "form"),
        (lambda it: [it[0], it[1].replace(b'":', b'": '), *it[2:]], 2, "form"),
        (lambda it: [it[0], it[1].replace(b":2", b':"2"'), *it[2:]], 2, "form"),
        (lambda it: [*it[:3], it[3][:-1]], 4, "tail"),
        (lambda it: [*it, b'{"action":'], 5, "tail"),
    ],
)
def test_a_changed_file_breaks_at_its_first_line(
    chain: Path, change: Any, line: int, what: str
) -> None:
    chain.write_bytes(b"".join(change(lines(chain))))
    broken = verify(chain).broken
    assert broken
    assert (broken.line, broken.what) == (line, what)


def test_an_entry_that_goes_back_in_time_is_found(tmp_path: Path) -> None:
    path = tmp_path / "chain.jsonl"
    first = Chain(path).append("erased", {}, now=NOW)
    content = {
        "sequence": 2,
        "time": "2026-11-29T13:00:00.000000Z",
        "actor": "a",
        "action": "erased",
        "details": {},
        "previous": first.hash,
    }
    with path.open("ab") as file:
        file.write(canonical({**content, "hash": digest(content)}) + b"\n")
    broken = verify(path).broken
    assert broken
    assert (broken.line, broken.what) == (2, "time")


def test_a_clock_that_was_set_back_does_not_break_the_chain(chain: Path) -> None:
    entry = Chain(chain).append("erased", {}, now=NOW - dt.timedelta(days=1))
    assert entry.time == "2026-11-29T14:00:03.000000Z"
    assert verify(chain).is_intact


def test_a_cut_end_is_found_with_an_anchor_alone(chain: Path) -> None:
    anchor = verify(chain).head
    assert anchor
    chain.write_bytes(b"".join(lines(chain)[:2]))
    assert verify(chain).is_intact
    broken = verify(chain, anchor).broken
    assert broken
    assert (broken.line, broken.what) == (3, "anchor")


def test_a_chain_that_was_written_anew_is_found_with_an_anchor(tmp_path: Path) -> None:
    anchors = []
    for content in ("a", "b"):
        path = tmp_path / content
        for number in range(3):
            Chain(path).append("erased", {"what": content}, now=NOW)
            if number == 1:
                anchors.append(verify(path).head)
    assert verify(tmp_path / "b").is_intact
    assert verify(tmp_path / "b", anchors[1]).is_intact
    broken = verify(tmp_path / "b", anchors[0]).broken
    assert broken
    assert (broken.line, broken.what) == (2, "anchor")


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_a_torn_line_is_cut_and_reported(chain: Path, kept: int) -> None:
    """A write that was killed left a part of its line, at most all but the feed."""
    whole = lines(chain)
    torn = whole[3][:kept]
    chain.write_bytes(b"".join(whole[:3]) + torn)
    assert verify(chain).broken
    entry = Chain(chain).append("erased", {"rows": 1}, now=NOW)
    assert entry.sequence == 5
    assert verify(chain).is_intact
    cut = json.loads(lines(chain)[3])
    assert (cut["action"], cut["actor"]) == ("tail_cut", "monitor")
    assert cut["details"] == {
        "bytes": len(torn),
        "sha256": hashlib.sha256(torn).hexdigest(),
    }
    assert lines(chain)[:3] == whole[:3]


def test_a_torn_first_line_is_cut_too(tmp_path: Path) -> None:
    path = tmp_path / "chain.jsonl"
    path.write_bytes(b'{"action"')
    Chain(path).append("erased", {}, now=NOW)
    assert [json.loads(it)["action"] for it in lines(path)] == ["tail_cut", "erased"]


def test_nothing_is_added_to_a_broken_end(chain: Path) -> None:
    found = lines(chain)
    found[3] = altered(found[3], rehash=False, actor="else")
    chain.write_bytes(b"".join(found))
    with pytest.raises(ChainError, match=r"its last entry is broken \(hash: "):
        Chain(chain).append("erased", {}, now=NOW)
    assert lines(chain) == found


@pytest.mark.parametrize("details", [{"a": 1.5}, {"a": {1}}, {1: "a"}, {"a": "\ud800"}])
def test_details_have_one_text_alone(chain: Path, details: Any) -> None:
    before = chain.read_bytes()
    with pytest.raises(TypeError):
        Chain(chain).append("erased", details, now=NOW)
    assert chain.read_bytes() == before


def test_details_that_are_too_long_are_refused(chain: Path) -> None:
    before = chain.read_bytes()
    with pytest.raises(ValueError, match="write them to a file"):
        Chain(chain).append("erased", {"a": "x" * (1 << 20)}, now=NOW)
    assert chain.read_bytes() == before


def test_a_full_disk_leaves_the_chain_as_it_was(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = chain.read_bytes()
    write = os.write
    calls = []

    def half(descriptor: int, content: bytes) -> int:
        calls.append(content)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return write(descriptor, bytes(content)[:10])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space left"):
        Chain(chain).append("erased", {}, now=NOW)
    monkeypatch.undo()
    assert chain.read_bytes() == before


def test_processes_that_add_at_the_same_time_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "chain.jsonl"
    children = []
    for writer in range(4):
        child = os.fork()
        if not child:
            try:
                for number in range(10):
                    Chain(path).append("erased", {"writer": writer, "n": number})
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    verdict = verify(path)
    assert (verdict.is_intact, verdict.entries) == (True, 40)
