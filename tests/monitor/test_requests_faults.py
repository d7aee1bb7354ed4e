"""What fails in a request stops neither the others nor the pass, and is told of."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.audit import verify
from model_monitor.cycle import Cycle
from model_monitor.requests import Inbox, Kind, Request, RequestRefusedError, Work
from model_monitor.requests.carrying import MOST_ATTEMPTS
from model_monitor.requests.journal import Journal
from model_monitor.requests.operations import carry_out
from model_monitor.store import Limits, Store, erasure, whole_files
from model_monitor.store.erasure import hash_of

from tests.support.monitor_records import rows
from tests.support.monitor_requests import (
    KEY,
    MEMBER,
    config,
    filled,
    full_disk,
    late_labels,
)

TABLES = ("labels", "predictions", "protected")
ALL = dict.fromkeys(TABLES, 6)
"""Rows of the subject."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    filled(tmp_path / "store")
    with Store(tmp_path / "store").opened() as opened:
        yield opened


@pytest.fixture
def cycle(store: Store) -> Cycle:
    return Cycle(config(store.root), store)


def erase_request() -> Request:
    hashed = hash_of("member", MEMBER, KEY)
    asked = {"field": "member", "value": MEMBER, "value_hash": hashed}
    return Request.new(Kind.ERASE, asked, "dpo")


def ask(store: Store, request: Request) -> str:
    Inbox(store).submit(request)
    return request.id


def labels_request(store: Store) -> Request:
    path = late_labels(store.root.parent)
    return Request.new(Kind.IMPORT_LABELS, {}, "ann", (str(path),))


def counted(store: Store) -> dict[str, int]:
    return {table: len(rows(store.root / table)) for table in TABLES}


def lost(store: Store, before: dict[str, int]) -> dict[str, int]:
    after = counted(store)
    return {table: before[table] - after[table] for table in TABLES}


def erased(store: Store) -> list[dict[str, Any]]:
    found = map(json.loads, store.chain.read_text().splitlines())
    return [it["details"] for it in found if it["action"] == "erased"]


def added(*receipts: dict[str, Any]) -> dict[str, int]:
    return {it: sum(one["rows"].get(it, 0) for one in receipts) for it in TABLES}


@contextlib.contextmanager
def full_at(write: int) -> Iterator[None]:
    """The disk is full from the so-manyth file that an erasure writes anew."""
    real, count = erasure.write_parquet, 0

    def failing(*words: Any) -> Any:
        nonlocal count
        count += 1
        return full_disk() if count >= write else real(*words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasure, "write_parquet", failing)
        yield


def test_an_erasure_that_fails_goes_on_in_the_next_cycle(
    store: Store, cycle: Cycle
) -> None:
    before = counted(store)
    name = ask(store, erase_request())
    with full_at(5):
        cycle.run()
    assert Inbox(store).answer(name) is None
    assert 0 < sum(lost(store, before).values()) < 18
    assert Inbox(store).journal(name).failure.endswith("No space left on device")
    cycle.run()
    answer = Inbox(store).answer(name)
    assert answer
    assert (answer.status, answer.exit_status) == ("done", 0)
    assert answer.details["rows"] == lost(store, before) == ALL
    assert answer.details["complete"]
    assert [it["rows"] for it in erased(store)] == [ALL]
    assert "complete" not in erased(store)[0]


def test_a_file_that_goes_between_two_attempts_is_not_on_the_receipt(
    store: Store, cycle: Cycle
) -> None:
    """The change that failed was announced; then retention took the file."""
    name = ask(store, erase_request())
    with full_at(5):
        cycle.run()
    done = {it["path"] for it in Inbox(store).journal(name).settled}
    steps = (store.root / f"requests/{name}.journal.jsonl").read_text().splitlines()
    announced = [it for it in map(json.loads, steps) if it["step"] == "file"]
    assert announced[-1]["path"] not in done
    (store.root / announced[-1]["path"]).unlink()
    before = counted(store)
    cycle.run()
    answer = Inbox(store).answer(name)
    assert answer
    paths = {it["path"] for it in answer.details["files"]}
    assert announced[-1]["path"] not in paths
    gone = sum(it["rows"] for it in announced if it["path"] in done)
    total = sum(lost(store, before).values()) + gone
    assert sum(answer.details["rows"].values()) == total


def test_one_that_is_given_up_leaves_a_receipt_and_an_entry(
    store: Store, cycle: Cycle
) -> None:
    before = counted(store)
    name = ask(store, erase_request())
    with full_at(5):
        cycle.run()
    with full_at(1):
        for _ in range(MOST_ATTEMPTS):
            cycle.run()
    answer = Inbox(store).answer(name)
    assert answer
    assert (answer.status, answer.exit_status) == ("failed", 1)
    assert "No space left on device" in answer.errors[0]
    assert not answer.details["complete"]
    first = lost(store, before)
    assert added(answer.details) == first
    assert 0 < sum(first.values()) < 18
    again = ask(store, erase_request())
    cycle.run()
    second = Inbox(store).answer(again)
    assert second
    assert added(answer.details, second.details) == lost(store, before) == ALL
    assert [it.get("complete", True) for it in erased(store)] == [False, True]
    assert verify(store.chain).is_intact
    assert MEMBER not in store.chain.read_text()


def test_a_command_that_erases_by_itself_tells_what_it_did(store: Store) -> None:
    before = counted(store)
    with full_at(5):
        outcome = carry_out(store, Work(erase_request()), Limits())
    assert (outcome.status, outcome.is_done) == (1, False)
    assert added(outcome.details) == lost(store, before)
    assert json.loads("\n".join(outcome.output)) == outcome.details
    assert [it["complete"] for it in erased(store)] == [False]


def folder(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [folder, dangling])
def test_a_file_that_cannot_be_read_is_refused_at_last(
    store: Store, cycle: Cycle, make: Callable[[Path], None]
) -> None:
    path = store.root / "requests" / "00.json"
    path.parent.mkdir()
    make(path)
    good = ask(store, labels_request(store))
    cycle.run()
    answer = Inbox(store).answer(good)
    assert answer
    assert answer.details["files"][0]["accepted"] == 60
    assert Inbox(store).waiting() == ["00"]
    for _ in range(MOST_ATTEMPTS - 1):
        cycle.run()
    refused = Inbox(store).answer("00")
    assert refused
    assert refused.status == "failed"
    assert "5 cycles" in refused.errors[0]
    assert not os.path.lexists(path)
    cycle.run()


@pytest.mark.parametrize(
    "line", [b"\0\0\0", b"[1]", b'{"step": "file"}', b'{"step": "carried out"}']
)
def test_a_damaged_journal_stops_its_own_request_alone(
    store: Store, cycle: Cycle, line: bytes
) -> None:
    bad = ask(store, erase_request())
    (store.root / f"requests/{bad}.journal.jsonl").write_bytes(line + b"\n")
    good = ask(store, labels_request(store))
    for _ in range(MOST_ATTEMPTS):
        cycle.run()
        assert Inbox(store).answer(good)
    answer = Inbox(store).answer(bad)
    assert answer
    assert "journal.jsonl:1: is not a step of a journal" in answer.errors[0]
    assert [it["complete"] for it in erased(store)] == [False]
    assert not Inbox(store).waiting()


def test_a_full_disk_does_not_keep_the_pass_from_making_room(
    store: Store, cycle: Cycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, passes = ask(store, labels_request(store)), []
    forget = Cycle._forget
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_write", full_disk)
        patch.setattr(Cycle, "_forget", lambda *words: passes.append(forget(*words)))
        cycle.run()
    assert len(passes) == 1
    assert Inbox(store).answer(name) is None
    cycle.run()
    assert Inbox(store).answer(name)


def test_an_answer_that_cannot_be_written_is_written_by_the_next_cycle(
    store: Store, cycle: Cycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [ask(store, labels_request(store)) for _ in range(2)]
    put = Inbox.put

    def failing(inbox: Inbox, answer: Any) -> None:
        if answer.id == names[0]:
            full_disk()
        put(inbox, answer)

    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "put", failing)
        cycle.run()
    assert Inbox(store).answer(names[1])
    assert Inbox(store).waiting() == names[:1]
    cycle.run()
    answer = Inbox(store).answer(names[0])
    assert answer
    assert not answer.details["files"][0]["is_repeated"]


def aged(path: Path) -> None:
    """As a folder is whose files were begun an hour ago."""
    old = time.time() - 3_700
    os.utime(path, (old, old))


def copying(monkeypatch: pytest.MonkeyPatch, during: Callable[[Path], None]) -> None:
    """Do something when a file is copied in part."""

    def slow(_: Path, target: Path) -> None:
        with target.open("w") as file:
            file.write("half")
            for it in (target.parent, target.parent.parent):
                aged(it)
            during(target)
            file.write("whole")

    monkeypatch.setattr(shutil, "copyfile", slow)


def test_a_copy_that_grows_is_no_leftover(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying(monkeypatch, lambda _: Inbox(store).tidy(30))
    name = ask(store, labels_request(store))
    (copy,) = Inbox(store).work(name).paths
    assert copy.read_text() == "halfwhole"


def test_a_copy_that_nothing_adds_to_is_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the command whose copy is deleted says so."""

    def late(target: Path) -> None:
        aged(target)
        Inbox(store).tidy(30)

    copying(monkeypatch, late)
    with pytest.raises(RequestRefusedError, match=r"its copy in .* was deleted before"):
        ask(store, labels_request(store))
    assert not list((store.root / "requests").iterdir())


def test_a_file_that_cannot_be_deleted_leaves_the_others_to_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(store)
    inbox.folder.mkdir()
    for name in ("a", "b"):
        (inbox.folder / f"{name}.answer.json").write_text("{}")
        (inbox.folder / f"{name}.journal.jsonl").touch()
    remove = whole_files.remove

    def failing(path: Path) -> None:
        if path.name.startswith("a."):
            raise PermissionError(path)
        remove(path)

    monkeypatch.setattr(whole_files, "remove", failing)
    inbox.tidy(30)
    assert not (inbox.folder / "b.journal.jsonl").exists()
