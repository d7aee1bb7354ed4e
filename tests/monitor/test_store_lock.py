"""One monitor a store, files that are written whole, and what killed ones leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from model_monitor.store import Store, StoreInUseError, whole_files


def test_a_second_monitor_is_refused_and_told_why(tmp_path: Path) -> None:
    with (
        Store(tmp_path).opened(),
        pytest.raises(StoreInUseError) as refused,
        Store(tmp_path).opened(),
    ):
        pass
    assert str(refused.value) == (
        f"{tmp_path}: process {os.getpid()} on {os.uname().nodename} works in this "
        "store; two monitors must not share one: end the other or give this one a "
        "folder of its own"
    )


def test_another_process_is_refused_too_until_the_first_ends(tmp_path: Path) -> None:
    def is_refused() -> bool:
        child = os.fork()
        if not child:
            code = 1
            try:
                with Store(tmp_path).opened():
                    code = 0
            except StoreInUseError:
                code = 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        return {0: False, 2: True}[os.waitstatus_to_exitcode(status)]

    with Store(tmp_path).opened():
        assert is_refused()
    assert not is_refused()


def test_another_store_is_not_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "a").opened(), Store(tmp_path / "b").opened():
        pass


def test_leftovers_of_killed_writes_are_cleared_at_the_start(tmp_path: Path) -> None:
    with Store(tmp_path).opened() as store:
        kept = store.quarantine / "kept"
        kept.write_text("x")
        for folder in (
            store.landing,
            store.predictions / "date=2026-11-29",
            store.root,
        ):
            folder.mkdir(exist_ok=True)
            (folder / ".tmp-1").write_text("x")
        (store.root / ".tmp-spill").mkdir()
        (store.root / ".tmp-spill" / "block").write_text("x")
    with Store(tmp_path).opened():
        assert not list(tmp_path.rglob(".tmp-*"))
        assert kept.exists()


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    whole_files.write_whole(path, b"old")

    def write_half() -> None:
        with whole_files.whole(path) as temporary:
            temporary.write_bytes(b"ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_gets_its_name_in_one_step(tmp_path: Path) -> None:
    """By renaming: to copy it there would show readers the half of it."""
    with whole_files.whole(tmp_path / "file") as temporary:
        temporary.write_bytes(b"x")
        written = temporary.stat().st_ino
    assert (tmp_path / "file").stat().st_ino == written


def test_a_written_file_is_private_to_its_group(tmp_path: Path) -> None:
    whole_files.write_whole(tmp_path / "file", b"x")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    whole_files.remove(tmp_path / "none")
