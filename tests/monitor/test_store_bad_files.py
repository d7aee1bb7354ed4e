"""Files that cannot be read to their end, or that nobody should have sent."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.store import Limits, Store, ingest

from tests.support.monitor_records import (
    NAME,
    NOW,
    land,
    prediction,
    rows,
    text,
    tree,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def take(store: Store, limits: Limits | None = None) -> Any:
    return ingest(store, limits=limits, now=lambda: NOW)


def many(count: int) -> bytes:
    return text(prediction(id=str(number)) for number in range(count))


def report(store: Store, name: str = NAME) -> dict[str, Any]:
    found = json.loads((store.quarantine / f"{name}.reason.json").read_text())
    assert isinstance(found, dict)
    return found


def put(store: Store, content: bytes, name: str = NAME) -> None:
    (store.landing / name).write_bytes(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (many(3), "not_gzip"),
        (b"", "not_gzip"),
        (b"\x1f", "not_gzip"),
        (gzip.compress(many(3))[:-8] + b"\0" * 8, "damaged_gzip"),
        (gzip.compress(many(3))[:30] + b"\xff" * 400, "damaged_gzip"),
    ],
)
def test_a_file_that_is_wrong_throughout_is_kept_whole(
    store: Store, content: bytes, reason: str
) -> None:
    put(store, content)
    result = take(store)
    assert result.files == {"quarantined": 1}
    assert result.quarantined == {reason: 1}
    assert (store.quarantine / NAME).read_bytes() == content
    assert report(store)["reason"] == reason
    assert report(store)["fix"]
    assert rows(store.predictions) == []
    assert not (store.landing / NAME).exists()


def test_lines_before_the_end_of_a_cut_file_are_kept(store: Store) -> None:
    content = gzip.compress(many(200))
    put(store, content[: len(content) // 2])
    assert take(store).quarantined == {"truncated_gzip": 1}
    found = rows(store.predictions)
    assert 0 < len(found) < 200
    assert [row["id"] for row in found] == [str(n) for n in range(len(found))]
    assert report(store)["kept"] == len(found)
    # The whole file may follow under its name, and takes the place of the half.
    put(store, content)
    assert take(store).files == {"ingested": 1}
    assert len(rows(store.predictions)) == 200


def test_what_follows_a_gzip_file_is_noticed(store: Store) -> None:
    put(store, gzip.compress(many(2)) + b"more")
    assert take(store).quarantined == {"trailing_data": 1}
    assert len(rows(store.predictions)) == 2


def test_members_of_a_gzip_file_are_read_as_one(store: Store) -> None:
    content = many(10)
    put(store, gzip.compress(content[:700]) + gzip.compress(content[700:]))
    assert take(store).files == {"ingested": 1}
    assert len(rows(store.predictions)) == 10


def test_a_million_empty_members_do_not_take_hours(store: Store) -> None:
    put(store, gzip.compress(b"") * 100_000)
    assert take(store).quarantined == {"trailing_data": 1}


def test_a_bomb_stops_at_the_bound(store: Store) -> None:
    """1 GiB of spaces, in 1 MiB: memory stays near what the bound allows."""
    bomb = gzip.compress(b" " * (1 << 26), 1) * 16
    put(store, bomb)
    tracemalloc.start()
    result = take(store, Limits(text_bytes=4 << 20, chunk_bytes=1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.quarantined == {"too_large": 1}
    assert (store.quarantine / NAME).stat().st_size == len(bomb)
    assert peak < 32 << 20


def test_lines_up_to_the_bound_are_kept(store: Store) -> None:
    lines = many(5_000)
    put(store, lines, "predictions-h-1.jsonl")
    limits = Limits(text_bytes=len(lines) - 1, file_bytes=len(lines))
    assert take(store, limits).quarantined == {"too_large": 1}
    assert report(store, "predictions-h-1.jsonl")["kept"] == len(
        rows(store.predictions)
    )


def test_a_file_that_is_too_large_as_it_lies_is_not_read(store: Store) -> None:
    put(store, os.urandom(2_000))
    assert take(store, Limits(file_bytes=1_999)).quarantined == {"too_large": 1}


def test_a_file_of_too_many_parts_does_not_fill_the_store(store: Store) -> None:
    """A revision that is another in each line, for one."""
    land(store, [prediction(revision=f"r{number}") for number in range(6)])
    assert take(store, Limits(parts=5)).quarantined == {"too_many_parts": 1}
    assert rows(store.predictions) == []
    (store.quarantine / NAME).rename(store.landing / NAME)
    assert take(store, Limits(parts=6)).files == {"ingested": 1}


@pytest.mark.parametrize(
    "name",
    [
        "other-1.jsonl.gz",
        "predictions-.jsonl.gz",
        "predictions-h 1.jsonl.gz",
        "predictions-ü.jsonl.gz",
        "predictions-h\n.jsonl.gz",
        "predictions-h.jsonl.gz.exe",
        "predictions-" + "x" * 200 + ".jsonl.gz",
    ],
)
def test_other_names_are_refused_and_left(store: Store, name: str) -> None:
    put(store, gzip.compress(many(1)), name)
    result = take(store)
    assert result.files == {"refused": 1}
    assert (store.landing / name).exists()
    assert rows(store.predictions) == []


@pytest.mark.parametrize("name", [".tmp-1", f"{NAME}.part", ".hidden.jsonl.gz"])
def test_unfinished_files_are_left_without_a_word(store: Store, name: str) -> None:
    put(store, b"", name)
    assert take(store).files == {}


def test_links_and_pipes_are_not_read(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside.jsonl"
    outside.write_bytes(many(1))
    (store.landing / "predictions-link-1.jsonl").symlink_to(outside)
    os.mkfifo(store.landing / "predictions-pipe-1.jsonl")
    result = take(store)
    assert result.files == {"failed": 1, "quarantined": 1}
    assert rows(store.predictions) == []


def test_the_same_file_again_changes_nothing(store: Store) -> None:
    land(store, [prediction()])
    take(store)
    before = tree(store.predictions)
    # Another zlib may compress the same content to other bytes.
    put(store, gzip.compress(text([prediction()]), 1))
    assert take(store).files == {"repeated": 1}
    assert tree(store.predictions) == before
    assert not (store.landing / NAME).exists()


def test_another_file_of_the_same_name_takes_no_place(store: Store) -> None:
    land(store, [prediction()])
    take(store)
    before = tree(store.predictions)
    land(store, [prediction(id="else")])
    assert take(store).quarantined == {"name_taken": 1}
    assert tree(store.predictions) == before
    kept = gzip.decompress((store.quarantine / NAME).read_bytes())
    assert json.loads(kept)["id"] == "else"
    # And a third beside the second.
    land(store, [prediction(id="third")])
    take(store)
    assert len(list(store.quarantine.glob("predictions-*.gz"))) == 2


def test_a_full_disk_leaves_the_file_where_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = land(store, [prediction()])
    with monkeypatch.context() as patch:
        patch.setattr(
            "model_monitor.store.whole_files.put",
            lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        )
        result = take(store)
    assert result.files == {"failed": 1}
    assert "No space left" in result.failures[NAME]
    assert path.exists()
    assert not list(store.root.rglob(".tmp-*"))
    assert take(store).files == {"ingested": 1}
