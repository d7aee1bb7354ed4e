"""Small files are joined, and a kill at any point neither loses nor doubles a row."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from model_monitor.labels import LabelJoin, import_labels
from model_monitor.store import Limits, Store, ingest, receipts, whole_files
from model_monitor.store.compaction import Compacted, Compaction, Compactor
from model_monitor.store.erasure import erase
from model_monitor.store.retention import Retention, retain

from tests.support import kills
from tests.support.monitor_records import (
    NOW,
    label,
    land,
    prediction,
    protected,
    rows,
    text,
    tree,
)

FILES = 3
EAGER = Compaction(quiet_seconds=-60, pause_seconds=0, least_new=2)
TABLES = ("predictions", "protected", "labels")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def send(store: Store, numbers: range) -> None:
    """Ship a file of predictions and one of protected attributes for each number."""
    for number in numbers:
        ids = [f"{number}-{n}" for n in range(4)]
        land(
            store,
            [prediction(id=it, features={f"f{number % 2}": 1.5}) for it in ids],
            f"predictions-h-{number}.jsonl.gz",
        )
        land(store, [protected(id=it) for it in ids], f"protected-h-{number}.jsonl.gz")
    ingest(store, now=lambda: NOW)


def send_labels(store: Store, numbers: range) -> None:
    for number in numbers:
        path = store.root.parent / f"labels-{number}.jsonl"
        path.write_bytes(text([label(id=f"{number}-{n}") for n in range(3)]))
        import_labels(store, path, now=NOW)
    LabelJoin(store).run(NOW)


def compact(store: Store, compaction: Compaction = EAGER) -> Compacted:
    return Compactor(store, compaction=compaction).run()


def files(store: Store, table: str) -> list[str]:
    return [path.name for path in sorted((store.root / table).rglob("*.parquet"))]


def content(store: Store) -> dict[str, list[str]]:
    """All rows of each table, in an order of their own."""
    return {
        table: sorted(repr(sorted(row.items())) for row in rows(store.root / table))
        for table in TABLES
    }


def test_files_of_a_folder_become_one_with_the_same_rows(store: Store) -> None:
    send(store, range(FILES))
    send_labels(store, range(FILES))
    before = content(store)
    assert [len(before[table]) for table in TABLES] == [12, 12, 9]
    result = compact(store)
    assert (result.joined, result.written) == (3 * FILES, 3)
    assert content(store) == before
    for table in TABLES:
        (name,) = files(store, table)
        assert name.startswith("joined-")


def test_rows_keep_the_order_of_files_and_lines(store: Store) -> None:
    send(store, range(FILES))
    before = [row["id"] for row in rows(store.predictions)]
    compact(store)
    assert [row["id"] for row in rows(store.predictions)] == before


def test_the_same_files_give_the_same_joined_file(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        with Store(tmp_path / name).opened() as store:
            send(store, range(FILES))
            compact(store)
            found.append(tree(store.predictions))
    assert found[0] == found[1]


def test_folders_that_changed_lately_are_left(store: Store) -> None:
    send(store, range(FILES))
    assert compact(store, Compaction(pause_seconds=0)).joined == 0
    later = time.time() + 3_700
    compactor = Compactor(store, compaction=Compaction(pause_seconds=0))
    assert compactor.run(later).joined == 2 * FILES


def test_looks_are_no_more_frequent_than_the_pause(store: Store) -> None:
    compactor = Compactor(store, compaction=replace(EAGER, pause_seconds=600))
    compactor.run()
    send(store, range(FILES))
    assert compactor.run().joined == 0


def test_a_file_that_comes_again_is_known_after_it_was_joined(store: Store) -> None:
    send(store, range(FILES))
    compact(store)
    before = content(store)
    send(store, range(FILES))
    assert content(store) == before
    assert not list(store.landing.glob("*.gz"))


def test_files_without_a_receipt_are_left(store: Store) -> None:
    """They may be written again under their name."""
    send(store, range(FILES))
    (store.received / "predictions-h-0.jsonl.gz").unlink()
    compact(store)
    assert "predictions-h-0.jsonl.gz.parquet" in files(store, "predictions")
    assert len(files(store, "predictions")) == 2


def test_files_that_wait_in_landing_are_left(store: Store) -> None:
    send(store, range(FILES))
    (store.landing / "predictions-h-0.jsonl.gz").touch()
    compact(store)
    assert "predictions-h-0.jsonl.gz.parquet" in files(store, "predictions")


def test_label_files_with_labels_that_wait_are_left(store: Store) -> None:
    send(store, range(FILES))
    send_labels(store, range(FILES + 1))
    (store.pending / "labels-0.jsonl.parquet").touch()
    compact(store)
    assert "labels-0.jsonl.parquet" in files(store, "labels/date=2026-11-29")


def test_an_import_that_was_not_finished_is_left(store: Store) -> None:
    send(store, range(2))
    send_labels(store, range(2))
    name = "labels-0.jsonl"
    receipt = receipts.read(store.imported, name)
    assert receipt
    receipts.write(store.imported, name, replace(receipt, is_complete=False))
    compact(store)
    assert len(files(store, "labels")) == 2


def test_later_files_are_joined_once_there_are_enough(store: Store) -> None:
    compaction = replace(EAGER, least_new=3)
    send(store, range(2))
    compact(store, compaction)
    send(store, range(2, 4))
    assert compact(store, compaction).joined == 0
    send(store, range(4, 5))
    before = content(store)
    compact(store, compaction)
    assert len(files(store, "predictions")) == 1
    assert content(store) == before


def test_joined_files_are_no_larger_than_the_limit(store: Store) -> None:
    send(store, range(5))
    before = content(store)
    compact(store, replace(EAGER, rows=8))
    assert len(files(store, "predictions")) == 3
    assert content(store) == before


def test_names_that_differ_by_case_are_not_made_one(store: Store) -> None:
    for number, name in enumerate(("Age", "age")):
        records = [prediction(id=f"{number}", features={name: 1})]
        land(store, records, f"predictions-h-{number}.jsonl.gz")
    ingest(store, now=lambda: NOW)
    compact(store)
    assert len(files(store, "predictions")) == 2


def test_a_damaged_file_is_reported_and_stops_no_other_folder(store: Store) -> None:
    send(store, range(FILES))
    damaged = next(store.predictions.rglob("predictions-h-1*"))
    damaged.write_bytes(b"no parquet")
    result = compact(store)
    (folder,) = result.failures
    assert folder.startswith("predictions/date=")
    assert len(files(store, "predictions")) == FILES
    assert len(files(store, "protected")) == 1


def test_erasure_takes_a_subject_out_of_joined_files(store: Store) -> None:
    send(store, range(FILES))
    send_labels(store, range(FILES))
    compact(store)
    receipt = erase(store, "id", "1-2", value_hash="0" * 64, actor="test", now=NOW)
    assert receipt.rows == {"labels": 1, "predictions": 1, "protected": 1}
    for table in TABLES:
        assert "1-2" not in {row["id"] for row in rows(store.root / table)}
    assert len(rows(store.predictions)) == 4 * FILES - 1


def test_retention_deletes_joined_files(store: Store) -> None:
    send(store, range(FILES))
    compact(store)
    later = NOW.replace(year=2027)
    assert retain(store, Retention(), later).deleted["predictions"] == 1
    assert not files(store, "predictions")


def _filled(root: Path) -> None:
    with Store(root).opened() as store:
        send(store, range(FILES))
        send_labels(store, range(FILES))


def _killed_before_step(root: Path, step: int) -> bool:
    """Join in a process that is killed before its nth wait for the disk."""

    def work() -> None:
        steps, sync = 0, whole_files.sync

        def counted(path: Path) -> None:
            nonlocal steps
            steps += 1
            if steps == step:
                kills.die()
            sync(path)

        with Store(root).opened() as store:
            whole_files.sync = counted
            compact(store)

    return kills.is_killed(kills.wait(kills.start(work)))


def test_kill_9_before_every_step_neither_loses_nor_doubles_a_row(
    tmp_path: Path,
) -> None:
    _filled(tmp_path / "filled")
    shutil.copytree(tmp_path / "filled", tmp_path / "undisturbed")
    with Store(tmp_path / "undisturbed").opened() as store:
        expected = content(store)
        compact(store)
        joined = {table: files(store, table) for table in TABLES}
    step, was_killed = 0, True
    while was_killed:
        step += 1
        root = tmp_path / "killed"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(tmp_path / "filled", root)
        was_killed = _killed_before_step(root, step)
        with Store(root).opened() as store:
            assert content(store) == expected, step
            compact(store)
            assert content(store) == expected, step
            assert {table: files(store, table) for table in TABLES} == joined, step
        assert not list(root.rglob(".tmp-*"))
        assert not (root / ".replacement.json").exists()
    assert step > 3 * 6


def test_a_kill_between_two_deletions_is_repaired(tmp_path: Path) -> None:
    """The steps that last are waits for the disk; a deletion is not one of them."""
    root = tmp_path / "store"
    _filled(root)

    def work() -> None:
        count, unlink = 0, Path.unlink

        def counted(path: Path, *, missing_ok: bool = False) -> None:
            nonlocal count
            count += path.name.startswith("predictions-")
            if count == 2:
                kills.die()
            unlink(path, missing_ok=missing_ok)

        with Store(root).opened() as store:
            Path.unlink = counted  # type: ignore[method-assign]
            compact(store)

    with Store(root).opened() as store:
        expected = content(store)
    assert kills.is_killed(kills.wait(kills.start(work)))
    assert len(files(Store(root), "predictions")) == FILES
    with Store(root).opened() as store:
        assert content(store) == expected
        assert len(files(store, "predictions")) == 1


def test_limits_of_memory_are_those_that_are_given(store: Store) -> None:
    send(store, range(FILES))
    compactor = Compactor(store, compaction=EAGER, limits=Limits(memory_mib=64))
    assert compactor.run().joined == 2 * FILES
