"""The ledger's folder: kills, full disks and several writers at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway.ledger import chain
from slipway.ledger.ledger import Ledger
from slipway.ledger.store import FolderStore, Stored, TakenError
from tests.support import ledgers
from tests.support.ledger_run import EACH, ENTRIES
from tests.support.ledgers import MODEL, TRUSTED, WORD, file
from toolchain import paths
from toolchain.errors import OperatorError

STEPS = ("open", "fsync", "link", "unlink", "folder")
WRITERS = 3


class Killed(BaseException):
    """The process is gone: nothing after this runs."""


def read(folder: Path) -> chain.Chain:
    return chain.read(FolderStore(folder.parent), folder.name, trusted=TRUSTED)


def kill_at(step: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kill at a step of the next write; what it then would run is killed too."""
    gone: list[str] = []
    unlink, fsync, link, opened = Path.unlink, os.fsync, os.link, os.open

    def at(name: str, call: Any, *given: Any, **options: Any) -> Any:
        if gone or name == step:
            gone.append(name)
            raise Killed
        return call(*given, **options)

    def synced(descriptor: int) -> None:
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")  # noqa: PTH112
        at("folder" if is_folder else "fsync", fsync, descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", lambda *a, **o: at("link", link, *a, **o))
    monkeypatch.setattr(os, "open", lambda *a, **o: at("open", opened, *a, **o))
    monkeypatch.setattr(Path, "unlink", lambda *a, **o: at("unlink", unlink, *a, **o))
    return gone


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_leaves_the_entry_whole_or_not_at_all(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ledgers.filled(tmp_path / "ledger")
    ledger = ledgers.ledger(folder.parent)
    with monkeypatch.context() as patch:
        gone = kill_at(step, patch)
        with pytest.raises(Killed):
            ledger.move(MODEL, "r1", "staged", WORD)
    assert gone[0] == step
    there = step in ("unlink", "folder")
    found = read(folder)
    assert found.broken is None
    assert len(found.entries) == 4 + there
    again = ledger.move(MODEL, "r1", "staged", WORD)
    assert again.is_new is not there
    assert again.entry.sequence == 5
    assert read(folder).broken is None


def test_an_entry_is_synchronised_before_it_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut could leave its name with nothing in it."""
    order: list[str] = []
    fsync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        order.append(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        fsync(descriptor)

    def linked(*given: Any) -> None:
        order.append("link")
        link(*given)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    FolderStore(tmp_path / "a" / "b").create(MODEL, 1, b"x")
    assert order[0].endswith(".part")
    assert order[1] == "link"
    folders = [tmp_path / "a/b" / MODEL, tmp_path / "a/b", tmp_path / "a", tmp_path]
    assert order[2:] == [str(it) for it in folders]


@pytest.mark.parametrize(
    ("call", "number"), [("fsync", errno.ENOSPC), ("link", errno.EPERM)]
)
def test_a_disk_that_refuses(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OperatorError, match=r"entry 1 cannot be written \(.* and run"):
        ledgers.ledger(tmp_path).register(MODEL, "r1", ledgers.subject(), WORD)
    assert list((tmp_path / MODEL).iterdir()) == []


def test_a_number_is_taken_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.create(MODEL, 1, b"first")
    with pytest.raises(TakenError):
        store.create(MODEL, 1, b"second")
    assert store.read(MODEL) == [Stored("00000001.json", 1, b"first")]
    assert store.models() == [MODEL]


def test_processes_that_race_for_the_same_numbers(tmp_path: Path) -> None:
    """Each number is one writer's, whole; whoever comes second is told."""
    run("create", tmp_path)
    stored = FolderStore(tmp_path).read(MODEL)
    assert [it.number for it in stored] == list(range(1, ENTRIES + 1))
    assert {it.content for it in stored} <= {b"0", b"1", b"2"}
    assert not list((tmp_path / MODEL).glob(".*"))


def test_processes_that_write_one_chain(tmp_path: Path) -> None:
    run("append", tmp_path)
    found = read(tmp_path / MODEL)
    assert found.broken is None
    assert len(found.entries) == WRITERS * EACH
    assert len(found.history.revisions) == WRITERS * EACH


def run(verb: str, root: Path) -> None:
    """Writers that start at the same moment."""
    words = [sys.executable, "-m", "tests.support.ledger_run", verb, str(root)]
    writers = [
        subprocess.Popen(
            [*words, str(number)],
            cwd=paths.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0] * WRITERS


def test_who_comes_second_decides_anew(tmp_path: Path) -> None:
    """Two people take a revision to different states: the second is refused."""
    folder = ledgers.filled(tmp_path)
    others = ledgers.ledger(tmp_path)

    class Late(FolderStore):
        def create(self, model: str, number: int, content: bytes) -> None:
            if number == 5:
                others.move(MODEL, "r1", "retired", WORD)
            super().create(model, number, content)

    late = Ledger(Late(tmp_path), ledgers.KEY)
    with pytest.raises(OperatorError, match="retired to staged is not an allowed"):
        late.move(MODEL, "r1", "staged", WORD)
    assert read(folder).broken is None
    assert ledgers.entry(file(folder, 5)).action == "revision_retired"


def test_a_writer_that_always_loses_gives_up(tmp_path: Path) -> None:
    class Taken(FolderStore):
        def create(self, model: str, number: int, content: bytes) -> None:
            raise TakenError

    losing = Ledger(Taken(tmp_path), ledgers.KEY)
    with pytest.raises(OperatorError, match="quicker 20 times; run it again"):
        losing.register(MODEL, "r1", ledgers.subject(), WORD)
