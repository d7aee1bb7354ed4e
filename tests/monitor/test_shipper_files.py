"""One finished file: compressed in one way, whole or not at all."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import threading
from pathlib import Path

import pytest
import yaml
from log_shipper import names
from log_shipper.finished_file import FileTroubleError, FinishedFile

from tests.support.log_shipping import content, finished, noise
from toolchain import paths

CONTRACT = yaml.safe_load((paths.ROOT / "contracts/prediction_record.yaml").read_text())


def test_names_are_the_contracts() -> None:
    files = CONTRACT["files"]
    assert set(names.PREFIXES) == {files["predictions"], files["protected"]}
    assert files["finished"] == names.FINISHED
    assert files["open"] == names.OPEN
    for prefix in names.PREFIXES:
        name = f"{prefix}pod-20261129T070000-7-000001"
        assert names.is_finished(name + files["finished"])
        assert names.is_open(name + files["open"])
        assert not names.is_finished(name + files["open"])
        shipped = names.shipped(name + files["finished"])
        assert shipped == name + files["shipped"]


@pytest.mark.parametrize(
    "name",
    [
        "predictions-.jsonl",
        "predictions-a b.jsonl",
        "predictions-a\n.jsonl",
        "predictions-ä.jsonl",
        "predictions-%2e.jsonl",
        f"predictions-{'a' * 182}.jsonl",
        "predictions-a.jsonl.gz",
        "labels-a.jsonl",
        ".predictions-a.jsonl",
    ],
)
def test_odd_names_are_not_sent(name: str) -> None:
    assert not names.is_finished(name)


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = finished(tmp_path, 1, rows=20_000)
    with FinishedFile(path) as file:
        first = file.compressed().read()
    os.utime(path, (1, 1))
    renamed = path.rename(tmp_path / "predictions-other.jsonl")
    with FinishedFile(renamed) as file:
        assert file.compressed().read() == first
    assert gzip.decompress(first) == content(1, 20_000)
    # RFC 1952: flags (no name, no comment), then four bytes of time.
    assert first[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("rows", [0, 1, 3_000])
def test_length_and_digests_are_known_before_it_is_sent(
    tmp_path: Path, rows: int
) -> None:
    path = finished(tmp_path, 1, rows=rows)
    with FinishedFile(path) as file:
        whole = file.compressed().read()
        assert gzip.decompress(whole) == path.read_bytes()
        assert file.compressed_bytes == len(file.compressed()) == len(whole)
        assert base64.b64encode(file.sha256) == base64.b64encode(
            hashlib.sha256(whole).digest()
        )
        assert file.content_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [1, 1000, 65_536, 10**9])
def test_pieces_of_any_size_make_the_whole(tmp_path: Path, size: int) -> None:
    with FinishedFile(noise(tmp_path, 1, 150_000 if size > 1 else 2_000)) as file:
        reader, pieces = file.compressed(), []
        while piece := reader.read(size):
            assert len(piece) <= size
            pieces.append(piece)
        assert all(len(piece) == size for piece in pieces[:-1])
        assert reader.tell() == file.compressed_bytes
        assert b"".join(pieces) == file.compressed().read()
        reader.seek(0)
        assert reader.tell() == 0
        assert reader.read() == b"".join(pieces)
        with pytest.raises(OSError, match="start"):
            reader.seek(1)


def test_a_file_whose_name_is_deleted_is_still_read(tmp_path: Path) -> None:
    path = finished(tmp_path, 1)
    with FinishedFile(path) as file:
        path.unlink()
        assert gzip.decompress(file.compressed().read()) == content(1)
        file.delete()


@pytest.mark.parametrize("change", ["append", "truncate", "rewrite"])
def test_a_file_that_changes_is_never_sent_whole(tmp_path: Path, change: str) -> None:
    path = noise(tmp_path, 1, 200_000)
    with FinishedFile(path) as file:
        reader = file.compressed()
        assert len(reader.read(1000)) == 1000
        if change == "append":
            with path.open("ab") as more:
                more.write(b"more")
        elif change == "truncate":
            os.truncate(path, 100_000)
        else:
            path.write_bytes(bytes(200_000))
        with pytest.raises(FileTroubleError, match="changed"):
            reader.read()
        with pytest.raises(FileTroubleError, match="kept"):
            file.delete()
    assert path.exists()


def test_a_name_with_another_file_is_not_deleted(tmp_path: Path) -> None:
    path = finished(tmp_path, 1)
    with FinishedFile(path) as file:
        path.unlink()
        finished(tmp_path, 1, rows=4)
        with pytest.raises(FileTroubleError):
            file.delete()
    assert path.read_bytes() == content(1, 4)


def test_links_pipes_folders_and_devices_are_no_files(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(finished(tmp_path, 1))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path, Path("/dev/null")):
        opened: list[Exception] = []

        def attempt(path: Path = path, opened: list[Exception] = opened) -> None:
            try:
                FinishedFile(path)
            except FileTroubleError as error:
                opened.append(error)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(20)
        assert opened, path
    with pytest.raises(FileNotFoundError):
        FinishedFile(tmp_path / "none")
