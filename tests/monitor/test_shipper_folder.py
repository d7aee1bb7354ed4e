"""The local folder: what waits, what vanished, what is set aside."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from log_shipper import folder as folder_module
from log_shipper.folder import LogFolder

from tests.support.log_shipping import finished


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    return LogFolder(tmp_path, 1000)


def names(folder: LogFolder) -> list[str]:
    return [waiting.name for waiting in folder.look().batch]


def test_the_oldest_comes_first_of_both_kinds(
    folder: LogFolder, tmp_path: Path
) -> None:
    third = finished(tmp_path, 3)
    first = finished(tmp_path, 1, prefix="protected")
    second = finished(tmp_path, 2)
    assert names(folder) == [first.name, second.name, third.name]
    os.utime(third, (5, 5))
    assert names(folder) == [third.name, first.name, second.name]


def test_what_is_no_finished_file_is_ignored(folder: LogFolder, tmp_path: Path) -> None:
    kept = finished(tmp_path, 1)
    (tmp_path / "predictions-link.jsonl").symlink_to(kept)
    (tmp_path / "predictions-dangling.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "predictions-folder.jsonl").mkdir()
    (tmp_path / "predictions-sp ace.jsonl").touch()
    os.mkfifo(tmp_path / "predictions-pipe.jsonl")
    for other in ("predictions-a.jsonl.part", "notes.txt", ".probe-7", "refused"):
        (tmp_path / other).touch()
    look = folder.look()
    assert [waiting.name for waiting in look.batch] == [kept.name]
    assert look.waiting == 1
    assert look.ignored == [
        f"predictions-{what}.jsonl"
        for what in ("dangling", "folder", "link", "pipe", "sp ace")
    ]


def test_a_batch_is_bounded_and_the_rest_is_counted(
    folder: LogFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "BATCH", 2)
    paths = [finished(tmp_path, number) for number in range(5)]
    look = folder.look()
    assert [waiting.name for waiting in look.batch] == [p.name for p in paths[:2]]
    assert look.waiting == 5


def test_a_file_that_vanished_is_reported_once(
    folder: LogFolder, tmp_path: Path
) -> None:
    paths = [finished(tmp_path, number) for number in range(4)]
    assert folder.look().vanished == []
    paths[0].unlink()
    paths[1].unlink()
    folder.forget(paths[2].name)
    paths[2].unlink()
    assert folder.look().vanished == [paths[0].name, paths[1].name]
    assert folder.look().vanished == []


def test_a_look_that_fails_forgets_nothing(
    folder: LogFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished(tmp_path, 1)
    folder.look()
    with monkeypatch.context() as patched:

        def fails(_: Path) -> Iterator[os.DirEntry[str]]:
            raise OSError(errno.EIO, "Input/output error")

        patched.setattr(os, "scandir", fails)
        with pytest.raises(OSError, match="Input/output"):
            folder.look()
    path.unlink()
    assert folder.look().vanished == [path.name]


def test_a_quiet_folder_is_not_looked_through(
    folder: LogFolder, tmp_path: Path
) -> None:
    assert folder.has_changed()
    path = finished(tmp_path, 1)
    os.utime(tmp_path, (5, 5))
    folder.look()
    assert not folder.has_changed()
    path.unlink()
    assert folder.has_changed()


def test_a_folder_that_changed_just_before_a_look_is_looked_at_again(
    folder: LogFolder, tmp_path: Path
) -> None:
    finished(tmp_path, 1)
    folder.look()
    assert folder.has_changed(), "another name of the same tick would be missed"


def test_a_quiet_folder_is_looked_at_now_and_then(
    folder: LogFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(tmp_path, (5, 5))
    folder.look()
    monkeypatch.setattr(folder_module, "LONGEST_SECONDS", 0.0)
    assert folder.has_changed()


def test_a_refused_file_is_set_aside_with_the_reason(
    folder: LogFolder, tmp_path: Path
) -> None:
    path = finished(tmp_path, 1)
    before = path.read_bytes()
    folder.look()
    assert folder.refuse(path.name, result="conflict", reason="other content") == []
    refused = tmp_path / "refused" / path.name
    assert refused.read_bytes() == before
    note = json.loads(Path(f"{refused}.reason.json").read_text())
    assert note["name"] == path.name
    assert note["result"] == "conflict"
    assert note["reason"] == "other content"
    look = folder.look()
    assert (look.batch, look.waiting, look.vanished) == ([], 0, [])


def test_refused_files_stay_within_their_size(
    folder: LogFolder, tmp_path: Path
) -> None:
    for number, size in enumerate([600, 300, 200, 1001]):
        path = finished(tmp_path, number)
        path.write_bytes(bytes(size))
        os.utime(path, (number, number))
    names = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    told = [folder.refuse(name) for name in names]
    # 600 and 300 fit in 1000; 200 more do not; 1001 alone do not.
    assert told == [[], [], [names[0]], [names[1], names[2], names[3]]]
    assert list((tmp_path / "refused").iterdir()) == []


def test_what_is_left_is_reported_by_kind(folder: LogFolder, tmp_path: Path) -> None:
    path = finished(tmp_path, 1)
    (tmp_path / "protected-a.jsonl.part").touch()
    (tmp_path / "else").touch()
    assert folder.left() == ([path.name], ["protected-a.jsonl.part"])
