"""The folder sink: whole files, and none overwritten."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
from log_shipper import compressed_reader
from log_shipper.finished_file import FileTroubleError, FinishedFile
from log_shipper.folder_sink import FolderSink
from log_shipper.sink import Refusal, RefusedError, Retry, UnavailableError

from tests.support.log_shipping import content, finished, noise


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir()
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.mkdir()
    return path


def send(path: Path, store: Path) -> None:
    with FinishedFile(path) as file:
        FolderSink(store).send(file)


@pytest.mark.parametrize("mode", [0o640, 0o600])
def test_a_file_lands_whole_under_its_name(log: Path, store: Path, mode: int) -> None:
    path = finished(log, 1, rows=10_000)
    path.chmod(mode)
    send(path, store)
    landed = store / "landing" / f"{path.name}.gz"
    assert gzip.decompress(landed.read_bytes()) == content(1, 10_000)
    assert list((store / "landing").iterdir()) == [landed]
    assert landed.stat().st_mode & 0o777 == mode
    assert (store / "landing").stat().st_mode & 0o070 == 0o070


def test_a_second_time_changes_nothing(log: Path, store: Path) -> None:
    path = finished(log, 1)
    send(path, store)
    landed = store / "landing" / f"{path.name}.gz"
    before = landed.stat()
    send(path, store)
    assert landed.stat().st_mtime_ns == before.st_mtime_ns
    assert landed.stat().st_ino == before.st_ino


def test_the_same_content_of_another_zlib_is_the_same(
    log: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished(log, 1, rows=1_000)
    send(path, store)
    landed = store / "landing" / f"{path.name}.gz"
    before = landed.read_bytes()
    monkeypatch.setattr(compressed_reader, "LEVEL", 1)
    with FinishedFile(path) as file:
        assert file.compressed().read() != before
    send(path, store)
    assert landed.read_bytes() == before


@pytest.mark.parametrize(
    "stored", ["other", "torn", "followed", "plain", "empty", "longer"]
)
def test_other_content_is_not_overwritten(log: Path, store: Path, stored: str) -> None:
    path = finished(log, 1, rows=100)
    whole = gzip.compress(content(1, 100))
    there = {
        "other": gzip.compress(content(2, 100)),
        "torn": whole[:-4],
        "followed": whole + b"more",
        "plain": content(1, 100),
        "empty": b"",
        "longer": gzip.compress(content(1, 101)),
    }[stored]
    landed = store / "landing" / f"{path.name}.gz"
    landed.parent.mkdir()
    landed.write_bytes(there)
    with pytest.raises(RefusedError, match="other content") as caught:
        send(path, store)
    assert caught.value.refusal is Refusal.CONFLICT
    assert landed.read_bytes() == there


def test_the_rest_of_a_cut_off_attempt_is_written_over(log: Path, store: Path) -> None:
    path = finished(log, 1)
    rest = store / "landing" / f".tmp-{path.name}.gz"
    rest.parent.mkdir()
    rest.write_bytes(b"rest" * 25_000)
    send(path, store)
    landed = store / "landing" / f"{path.name}.gz"
    assert list((store / "landing").iterdir()) == [landed]
    assert gzip.decompress(landed.read_bytes()) == content(1)


def test_a_file_that_changes_never_gets_its_name(
    log: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = noise(log, 1, 300_000)
    with FinishedFile(path) as file:
        path.write_bytes(zlib.compress(b"else"))
        with pytest.raises(FileTroubleError):
            FolderSink(store).send(file)
    assert list((store / "landing").glob("predictions-*")) == []


@pytest.mark.parametrize("what", ["missing", "file", "landing"])
def test_a_folder_that_cannot_be_written_is_reported_with_its_path(
    log: Path, store: Path, what: str
) -> None:
    path = finished(log, 1)
    if what == "landing":
        (store / "landing").write_text("a file")
    else:
        store.rmdir()
        if what == "file":
            store.write_text("a file")
    with pytest.raises(UnavailableError, match="cannot be written") as caught:
        send(path, store)
    assert caught.value.retry is Retry.FOLDER
    assert str(store) in str(caught.value)
    assert what != "missing" or not store.exists(), "a volume would be mounted there"
