"""The program itself: how it starts, ends, is killed, and what memory it takes."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.log_shipping import (
    Answer,
    content,
    finished,
    noise,
    receiver,
    wait_until,
)
from toolchain import paths

PYTHONPATH = f"{paths.ROOT / 'images' / 'log_shipper'}:{paths.ROOT}"
KILLS = 10
MEMORY_KIB = 30_000
"""The README has what was measured; interpreters differ by some MiB."""


class Program:
    """A shipper that runs, and what it logs."""

    def __init__(self, folder: Path, sink: str, log: Path, **more: object) -> None:
        self._log = log
        variables = {
            "FOLDER": folder,
            "SINK": sink,
            "HOST": "127.0.0.1",
            "PORT": 0,
            "POLL_SECONDS": 0.02,
            "RETRY_SECONDS": 0.05,
            **{name.upper(): value for name, value in more.items()},
        }
        environment = {f"LOG_SHIPPER_{name}": str(v) for name, v in variables.items()}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        environment["PYTHONPATH"] = PYTHONPATH
        with log.open("wb") as target:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "log_shipper"], env=environment, stderr=target
            )

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def end(self) -> int:
        """Exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def memory_kib(self, field: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+) kB", status)
        assert found
        return int(found[1])


@contextmanager
def program(
    folder: Path, sink: str, log: Path | None = None, **more: object
) -> Iterator[Program]:
    running = Program(folder, sink, log or folder.parent / "shipper.log", **more)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.mkdir()
    return path


def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir(exist_ok=True)
    return path


def test_it_sends_shows_and_ends(folder: Path, tmp_path: Path) -> None:
    sink = f"folder:{store(tmp_path)}"
    path = finished(folder, 1)
    with program(folder, sink) as running:
        wait_until(lambda: not path.exists())
        port = running.lines[0]["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for page, part in (
            ("/healthz", "ok"),
            ("/readyz", "ok"),
            ("/metrics", 'log_shipper_files_total{result="sent"} 1.0\n'),
        ):
            connection.request("GET", page)
            assert part in connection.getresponse().read().decode()
            connection.close()
        assert running.end() == 0
        told = [line["message"] for line in running.lines]
        assert told == ["started", "sent", "stopping", "stopped"]
        assert running.lines[-1]["left"] == 0
    landed = tmp_path / "store" / "landing" / f"{path.name}.gz"
    assert gzip.decompress(landed.read_bytes()) == content(1)


def test_a_file_that_appears_later_is_noticed(folder: Path, tmp_path: Path) -> None:
    with program(folder, f"folder:{store(tmp_path)}") as running:
        wait_until(lambda: running.lines)
        for number in range(3):
            path = finished(folder, number)
            part = path.rename(f"{path}.part")
            time.sleep(0.05)
            assert part.exists()
            part.rename(path)
            wait_until(lambda path=path: not path.exists())  # type: ignore[misc]


def test_what_is_finished_goes_out_at_the_end(folder: Path, tmp_path: Path) -> None:
    (folder / "predictions-a.jsonl.part").write_text("{}\n")
    with program(folder, f"folder:{store(tmp_path)}", poll_seconds=60) as running:
        wait_until(lambda: running.lines)
        time.sleep(0.2)
        names = [finished(folder, number).name for number in range(5)]
        assert running.end() == 0
        assert running.lines[-1] | {"time": ""} == {
            "time": "",
            "level": "warning",
            "logger": "log-shipper",
            "message": "stopped",
            "left": 0,
            "left_open": 1,
            "names": ["predictions-a.jsonl.part"],
        }
    assert sorted(p.name for p in (tmp_path / "store/landing").iterdir()) == [
        f"{name}.gz" for name in names
    ]


def test_the_end_comes_in_time_even_if_the_sink_does_not_answer(
    folder: Path,
) -> None:
    names = [finished(folder, number).name for number in range(2)]
    with receiver(*[Answer(seconds=60)] * 2) as sink:
        address = f"http://127.0.0.1:{sink.port}"
        with program(folder, address, drain_seconds=0.3) as running:
            wait_until(lambda: sink.requests)
            started = time.monotonic()
            assert running.end() == 0
            assert time.monotonic() - started < 30
            last = running.lines[-1]
            assert (last["left"], last["names"]) == (2, names)


def test_wrong_settings_are_reported_in_json_and_end_it(tmp_path: Path) -> None:
    # Nobody, root included, makes a file in /proc.
    log = tmp_path / "shipper.log"
    with program(Path("/proc"), "ftp://x", log, port="x") as running:
        assert running.process.wait(60) == 2
        told = running.lines
    assert [line["path"] for line in told] == [
        "LOG_SHIPPER_SINK",
        "LOG_SHIPPER_FOLDER",
        "LOG_SHIPPER_PORT",
    ]
    for line in told:
        assert line["level"] == "error"
        assert line["value"]
        assert line["reason"]
        assert line["fix"]
    assert "cannot be written" in told[1]["reason"]


def test_a_port_in_use_is_reported(folder: Path, tmp_path: Path) -> None:
    with receiver() as other:
        port = other.port
        with program(folder, f"folder:{store(tmp_path)}", port=port) as running:
            assert running.process.wait(60) == 2
            (line,) = running.lines
    assert (line["path"], line["value"]) == ("LOG_SHIPPER_PORT", str(port))
    assert "in use" in line["reason"]


@pytest.mark.parametrize("kind", ["http", "folder"])
def test_killed_at_any_moment_it_loses_and_doubles_nothing(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    chance = random.Random(7)
    expected: dict[str, bytes] = {}

    def write(number: int) -> None:
        rows = chance.choice([1, 50, 3_000])
        path = finished(folder, number, rows=rows)
        expected[f"{path.name}.gz"] = content(number, rows)

    with receiver(*[Answer(stores=True, piece_seconds=0.01)] * 40) as sink:
        http_sink = f"http://127.0.0.1:{sink.port}"
        address = http_sink if kind == "http" else f"folder:{store(tmp_path)}"
        for number in range(KILLS * 3):
            write(number)
        for _ in range(KILLS // 2):
            with program(folder, address) as running:
                wait_until(lambda running=running: running.lines)  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.06))
        with program(folder, address):
            wait_until(lambda: not list(folder.glob("*.jsonl")))
        stored = dict(sink.stored)
    if kind == "folder":
        stored = {
            path.name: path.read_bytes()
            for path in (tmp_path / "store/landing").iterdir()
        }
    found = {name: gzip.decompress(body) for name, body in stored.items()}
    assert found == expected
    assert set(sink.statuses) <= {200, 201}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["http", "folder"])
def test_memory_does_not_grow_with_the_file(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    path = noise(folder, 1, 24 << 20)
    with receiver() as sink:
        http_sink = f"http://127.0.0.1:{sink.port}"
        address = http_sink if kind == "http" else f"folder:{store(tmp_path)}"
        with program(folder, address) as running:
            wait_until(lambda: not path.exists())
            assert running.memory_kib("VmHWM") < MEMORY_KIB
            assert running.memory_kib("VmRSS") < MEMORY_KIB


def test_botocore_is_not_loaded_where_it_is_not_used(tmp_path: Path) -> None:
    code = (
        "import os, sys; from log_shipper import __main__, settings, sinks;"
        "sinks.open_sink(settings.read(os.environ));"
        "print('botocore' in sys.modules, 'ssl' in sys.modules)"
    )
    environment = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": PYTHONPATH,
        "LOG_SHIPPER_FOLDER": str(tmp_path),
    }
    told = []
    for address in ("folder:/store", "http://h", "s3://bucket"):
        environment["LOG_SHIPPER_SINK"] = address
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(run.stdout.split()[0])
    assert told == ["False", "False", "True"]
