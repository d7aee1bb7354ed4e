"""The program that Compose projects carry into every container."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolchain import builds

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def program() -> Path:
    group = builds.group("compose-tools")
    builds.build(group)
    return group.binary("compose-tools")


def run(program: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False
    )


def test_files_are_copied_with_their_folders_and_links(
    program: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "weights").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "weights" / "0.bin").write_bytes(bytes(range(256)) * 999)
    (source / "model.yaml").write_text("name: employment\n")
    (source / "latest").symlink_to("weights/0.bin")
    target.mkdir()
    assert run(program, "copy", source, target).returncode == 0
    assert (target / "weights" / "0.bin").read_bytes() == bytes(range(256)) * 999
    assert (target / "latest").readlink() == Path("weights/0.bin")
    assert (target / "model.yaml").stat().st_mode & 0o777 == 0o644
    # What no file needs is not made: the engine's own folders are in every image.
    assert {p.name for p in target.iterdir()} == {"weights", "latest", "model.yaml"}


def test_a_copy_that_was_cut_off_is_made_up(program: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    (source / "a").write_text("whole")
    (source / "b").write_text("there")
    (target / "a.compose-tools-part").write_text("who")
    (target / "b").write_text("there")
    os.utime(target / "b", (1, 1))
    assert run(program, "copy", source, target).returncode == 0
    assert (target / "a").read_text() == "whole"
    assert (target / "b").stat().st_mtime == 1, "it was written again"
    assert {p.name for p in target.iterdir()} == {"a", "b"}


def test_an_image_without_files_is_reported(program: Path, tmp_path: Path) -> None:
    done = run(program, "copy", tmp_path, tmp_path / "target")
    assert done.returncode == 1
    assert "holds no file" in done.stderr


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_health_is_the_status(program: Path, address: str) -> None:
    assert run(program, "get", f"{address}/readyz").returncode == 0
    ill = run(program, "get", f"{address}/other", "2")
    assert ill.returncode == 1
    assert "503" in ill.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get", "http://127.0.0.1:1/"], "connection refused"),
        (["get", "https://127.0.0.1:1/"], "is no address"),
        (["get", "http://127.0.0.1:1/", "soon"], "is not a number of seconds"),
        (["own", "/nowhere", "me"], "is not a user's number"),
        (["fetch"], "is no command"),
    ],
)
def test_what_it_cannot_do_is_reported(
    program: Path, words: list[str], said: str
) -> None:
    done = run(program, *words)
    assert done.returncode == 1
    assert said in done.stderr


def test_without_words_it_is_only_there_to_be_copied(program: Path) -> None:
    done = run(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_gets_its_owner(program: Path, tmp_path: Path) -> None:
    assert run(program, "own", tmp_path, "65534").returncode == 0
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_gid) == (65534, 65534)
