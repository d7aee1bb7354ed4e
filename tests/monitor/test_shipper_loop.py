"""The loop: what it counts, in which order it sends, how it ends."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from pathlib import Path

import pytest
from log_shipper import folder as folder_module
from log_shipper.finished_file import FileTroubleError, FinishedFile
from log_shipper.shipper import Shipper
from log_shipper.sink import Retry, UnavailableError

from tests.support.log_shipping import MOMENT, finished, settings_of, wait_until


class Scripted:
    """A sink that raises what it is told, then stores."""

    def __init__(self, *script: Exception | None) -> None:
        self.script = deque(script)
        self.sent: list[str] = []
        self.asked: list[str] = []

    def send(self, file: FinishedFile) -> None:
        self.asked.append(file.path.name)
        if self.script and (error := self.script.popleft()):
            raise error
        self.sent.append(file.path.name)


DOWN = UnavailableError(Retry.CONNECTION, "down")


def shipper_of(folder: Path, sink: Scripted, **more: object) -> Shipper:
    return Shipper(settings_of(folder, "folder:/store", **more), sink)


def test_order_is_kept_through_a_failure(tmp_path: Path) -> None:
    names = [finished(tmp_path, number).name for number in range(4)]
    sink = Scripted(None, DOWN, DOWN)
    shipper = shipper_of(tmp_path, sink)
    wait_until(lambda: shipper.round(look_anyway=True) == 0)
    assert sink.sent == names
    assert sink.asked == [names[0], names[1], names[1], *names[1:]]
    assert shipper.metrics.retries["connection"] == 2


def test_nothing_is_asked_before_the_wait_is_over(tmp_path: Path) -> None:
    finished(tmp_path, 1)
    finished(tmp_path, 2)
    sink = Scripted(UnavailableError(Retry.BUSY, "full", retry_after=3600))
    shipper = shipper_of(tmp_path, sink)
    for _ in range(5):
        shipper.round(look_anyway=True)
    assert len(sink.asked) == 1


def test_figures_of_what_waits(tmp_path: Path) -> None:
    for number in range(3):
        finished(tmp_path, number)
    shipper = shipper_of(tmp_path, Scripted(None, DOWN), retry_seconds=0.05)
    assert not shipper.is_ready.is_set()
    shipper.round()
    assert shipper.is_ready.is_set()
    assert shipper.metrics.waiting_files == 2
    assert shipper.metrics.oldest_modified == MOMENT + 1
    time.sleep(0.05)
    shipper.round()
    assert shipper.metrics.waiting_files == 0
    assert shipper.metrics.oldest_modified == 0


def test_files_deleted_before_they_were_sent_are_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [finished(tmp_path, number) for number in range(3)]
    shipper = shipper_of(tmp_path, Scripted(DOWN), retry_seconds=0.05)
    shipper.round()
    paths[0].unlink()
    time.sleep(0.05)
    shipper.round()
    assert shipper.round(look_anyway=True) == 0
    assert shipper.metrics.lost_files == 1
    assert shipper.metrics.files["sent"] == 2
    assert paths[0].name in capsys.readouterr().err


def test_a_file_deleted_while_it_was_sent_is_not_lost(tmp_path: Path) -> None:
    path = finished(tmp_path, 1)

    class Deleting(Scripted):
        def send(self, file: FinishedFile) -> None:
            path.unlink()
            super().send(file)

    shipper = shipper_of(tmp_path, Deleting())
    shipper.round()
    shipper.round(look_anyway=True)
    assert shipper.metrics.files["sent"] == 1
    assert shipper.metrics.lost_files == 0


def test_a_file_that_vanishes_between_look_and_sending_is_lost_once(
    tmp_path: Path,
) -> None:
    first, second = finished(tmp_path, 1), finished(tmp_path, 2)

    class Deleting(Scripted):
        def send(self, file: FinishedFile) -> None:
            second.unlink()
            super().send(file)

    shipper = shipper_of(tmp_path, Deleting())
    for _ in range(3):
        shipper.round(look_anyway=True)
    assert (shipper.metrics.lost_files, shipper.metrics.files["sent"]) == (1, 1)
    assert not first.exists()


def test_a_file_with_trouble_does_not_hold_up_others(tmp_path: Path) -> None:
    first, second = finished(tmp_path, 1), finished(tmp_path, 2)
    sink = Scripted(FileTroubleError("changed"))
    shipper = shipper_of(tmp_path, sink, retry_max_seconds=0.1)
    shipper.round()
    assert sink.sent == [second.name]
    shipper.round(look_anyway=True)
    assert sink.asked == [first.name, second.name], "not asked again at once"
    wait_until(lambda: shipper.round(look_anyway=True) == 0)
    assert sink.sent == [second.name, first.name]
    assert shipper.metrics.retries["file"] == 1
    assert shipper.metrics.lost_files == 0


def test_a_file_that_grows_after_it_was_sent_is_kept(tmp_path: Path) -> None:
    path = finished(tmp_path, 1)

    class Growing(Scripted):
        def send(self, file: FinishedFile) -> None:
            with path.open("a") as more:
                more.write("more\n")
            super().send(file)

    shipper = shipper_of(tmp_path, Growing())
    shipper.round()
    assert path.exists()
    assert shipper.metrics.files["sent"] == 0
    assert shipper.metrics.retries["file"] == 1


def test_a_folder_that_cannot_be_read_for_a_while(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    finished(folder, 1)
    sink = Scripted()
    shipper = shipper_of(folder, sink)
    hidden = folder.rename(tmp_path / "hidden")
    assert shipper.round() is None
    assert not shipper.is_ready.is_set()
    hidden.rename(folder)
    wait_until(lambda: shipper.round(look_anyway=True) == 0)
    assert len(sink.sent) == 1
    assert shipper.metrics.retries["file"] == 1


def test_more_files_than_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "BATCH", 3)
    names = [finished(tmp_path, number).name for number in range(10)]
    sink = Scripted()
    shipper = shipper_of(tmp_path, sink)
    wait_until(lambda: shipper.round(look_anyway=True) == 0)
    assert sink.sent == names
    assert shipper.metrics.lost_files == 0


def test_one_lasting_failure_is_logged_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(tmp_path, 1)
    busy = UnavailableError(Retry.BUSY, "full")
    sink = Scripted(DOWN, DOWN, DOWN, busy)
    shipper = shipper_of(tmp_path, sink)
    wait_until(lambda: shipper.round(look_anyway=True) == 0)
    said = capsys.readouterr().err
    assert said.count('"not sent yet"') == 2
    assert said.count('"the sink answers again"') == 1


def test_ignored_names_are_logged_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "predictions-a b.jsonl").touch()
    shipper = shipper_of(tmp_path, Scripted())
    for _ in range(3):
        shipper.round(look_anyway=True)
    assert capsys.readouterr().err.count("predictions-a b.jsonl") == 1


def test_stop_sends_what_is_there_and_ends(tmp_path: Path) -> None:
    sink = Scripted(*[DOWN] * 3)
    shipper = shipper_of(
        tmp_path, sink, retry_seconds=60, retry_max_seconds=60, poll_seconds=0.02
    )
    finished(tmp_path, 1)
    os.utime(tmp_path, (5, 5))
    thread = threading.Thread(target=shipper.run)
    thread.start()
    wait_until(lambda: sink.asked)
    sink.script.clear()
    finished(tmp_path, 2)
    time.sleep(0.1)
    assert len(sink.asked) == 1, "the next attempt is a minute away"
    shipper.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert len(sink.sent) == 2


def test_the_last_look_does_not_go_by_the_folders_time(tmp_path: Path) -> None:
    """A name of the same tick as the look before must not be left behind."""
    sink = Scripted()
    shipper = shipper_of(tmp_path, sink)
    os.utime(tmp_path, (5, 5))
    shipper.round()
    finished(tmp_path, 1)
    os.utime(tmp_path, (5, 5))
    shipper.round()
    assert sink.sent == []
    shipper.stop()
    shipper.run()
    assert len(sink.sent) == 1


def test_a_stop_before_the_start_is_kept(tmp_path: Path) -> None:
    finished(tmp_path, 1)
    sink = Scripted()
    shipper = shipper_of(tmp_path, sink, poll_seconds=60)
    shipper.stop()
    shipper.run()
    assert len(sink.sent) == 1
