"""What bounds the joining of small files, and what a failing disk does to it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from model_monitor.audit.search import entries
from model_monitor.store import Store, replacement, whole_files
from model_monitor.store.compaction import Compaction, Compactor

from tests.monitor.test_store_compaction import (
    EAGER,
    FILES,
    compact,
    content,
    files,
    send,
)
from tests.support.monitor_records import rows
from tests.support.monitor_requests import full_disk


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def test_a_disk_that_fails_leaves_no_row_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file has its name, and the wait for that fails in a running monitor."""
    send(store, range(FILES))
    expected, sync = content(store), whole_files.sync
    compactor = Compactor(store, compaction=replace(EAGER, pause_seconds=600))

    def failing(path: Path) -> None:
        if any(path.glob("joined-*")):
            raise OSError(5, "Input/output error")
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(whole_files, "sync", failing)
        for _ in range(2):
            # Nothing may count what lies side by side.
            with pytest.raises(OSError, match="Input/output"):
                compactor.run()
    assert len(rows(store.predictions)) > 4 * FILES
    compactor.run()
    assert content(store) == expected
    compactor.run()
    assert content(store) == expected


def test_a_full_disk_is_reported_and_stops_no_pass(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(store, range(FILES))
    before = content(store)
    with monkeypatch.context() as patch:
        patch.setattr(whole_files, "put", full_disk)
        assert len(compact(store).failures) == 2
    assert content(store) == before
    assert compact(store).joined == 2 * FILES


def test_no_replacement_begins_before_another_is_finished(store: Store) -> None:
    note = store.root / replacement.NOTE
    note.write_text("{}")
    with pytest.raises(FileExistsError, match="not finished"):
        replacement.replace(store.root, store.root / "a", store.root / "b", [])
    assert note.read_text() == "{}"


def test_one_look_joins_a_bounded_part_of_a_folder(store: Store) -> None:
    send(store, range(12))
    shutil.rmtree(store.protected)
    before = content(store)
    # The folder is quiet when the first look begins, and not again for an hour.
    compaction = Compaction(3_600, 0, least_new=2, most_files=6, group_files=3)
    compactor = Compactor(store, compaction=compaction)
    later = time.time() + 3_700
    left = []
    for _ in range(6):
        assert compactor.run(later).joined <= 6
        later = time.time()
        left.append(len(files(store, "predictions")))
    assert left[0] == 12 - 6 + 2
    new = [it for it in files(store, "predictions") if "joined" not in it]
    assert len(new) < compaction.least_new
    assert content(store) == before


def test_a_look_stops_between_two_groups(store: Store) -> None:
    send(store, range(6))
    before = content(store)
    asked = iter([False, False, True, True])
    compaction = replace(EAGER, group_files=2)
    compactor = Compactor(store, compaction=compaction, is_stopping=lambda: next(asked))
    assert (compactor.run().joined, content(store)) == (2, before)
    compactor = Compactor(store, compaction=EAGER)
    compactor.run()
    assert content(store) == before


def test_the_audit_chain_tells_of_protected_attributes_that_were_joined(
    store: Store,
) -> None:
    send(store, range(FILES))
    compact(store)
    details = [it["details"] for it in entries(store.chain, "protected_read")]
    assert [(it["purpose"], it["rows"]) for it in details] == [("compaction", 12)]
    compact(store)
    assert len(list(entries(store.chain, "protected_read"))) == 1
