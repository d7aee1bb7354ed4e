"""The program by which workers wait for each other, run as their pods run it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from components.training import gang, gang_start

SCRIPT = str(gang.SCRIPT)
LOOPBACK = "127.0.0.1"
SECONDS = 20


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-u", SCRIPT, *words], stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


@pytest.fixture
def served(port: int) -> Iterator[subprocess.Popen[str]]:
    with start("serve", str(port)) as running:
        deadline = time.monotonic() + SECONDS
        while not gang_start.answers(LOOPBACK, port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield running
        running.kill()


def test_names_are_those_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def wait(*words: object) -> int:
        asked.extend(words)
        return 0

    monkeypatch.setattr(gang_start, "wait", wait)
    assert gang_start.main(["wait", "29400", "90", "net-x7k2p", "net", "2"]) == 0
    assert asked == [29400, 90.0, ["net-x7k2p-0.net", "net-x7k2p-1.net"]]


def test_who_is_there_is_waited_for_no_longer(
    served: subprocess.Popen[str], port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gang_start.wait(port, SECONDS, [LOOPBACK, "localhost"]) == 0
    assert capsys.readouterr().out.startswith("all 2 workers run")


def test_a_worker_that_comes_late_is_seen(port: int) -> None:
    with start("serve", str(port)) as late:
        assert gang_start.wait(port, SECONDS, [LOOPBACK]) == 0
        late.kill()


def test_who_does_not_come_is_named_and_the_gang_gives_up(
    served: subprocess.Popen[str], port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = "net-x7k2p-1.invalid"
    assert gang_start.wait(port, 0.5, [LOOPBACK, missing]) == gang_start.TIMED_OUT
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.endswith(f"these do not run: {missing}")


def test_the_time_out_is_the_programs_exit_status(port: int) -> None:
    with start("wait", str(port), "0", "net", "invalid", "1") as waiting:
        said, _ = waiting.communicate(timeout=SECONDS)
    assert waiting.returncode == 75
    assert "net-0.invalid" in said


def test_the_sidecar_ends_at_once_when_it_is_asked_to(
    served: subprocess.Popen[str],
) -> None:
    served.send_signal(signal.SIGTERM)
    assert served.wait(SECONDS) == 0
