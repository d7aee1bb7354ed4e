"""The command of `make demo-drift`: its options, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from model_monitor import config

from examples.demo_drift import __main__ as command
from examples.demo_drift import processes, watched
from examples.demo_drift.watched import Places
from tests.unit.test_demo_expectations import CARD
from toolchain import paths
from toolchain.errors import OperatorError

WORDS = [sys.executable, "-m", "examples.demo_drift"]


def test_help_says_what_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "Simulated is the clock alone" in said
    for option in ("--backfill", "--replay", "--url", "--rows", "--day-seconds"):
        assert option in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rows", "100"], "100: give 6000 to 1000000"),
        (["--batch-rows", "0"], "0: give 1 to 1000"),
        (["--day-seconds", "-1"], "-1: give a number of seconds from 0 on"),
        (["--backfill", "--replay"], "not allowed with"),
    ],
)
def test_wrong_options_are_reported(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_what_cannot_run_is_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> int:
        raise OperatorError("x: y; do z")

    monkeypatch.setattr(command, "replay", fails)
    assert command.main(["--replay"]) == 2
    assert capsys.readouterr().err == "error: x: y; do z\n"


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_difference_in_one_part_is_status_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: int, second: int
) -> None:
    monkeypatch.setattr(command, "_backfill", lambda *_: first)
    monkeypatch.setattr(command, "replay", lambda *_: second)
    assert command.main(["--folder", str(tmp_path)]) == (first | second)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_neither_programs_nor_files(
    number: signal.Signals, tmp_path: Path
) -> None:
    """A stand-in for the parts starts a program as they do, and waits."""
    script = tmp_path / "interrupted.py"
    script.write_text(
        f"""
import signal, sys, time
# A shell's background job ignores SIGINT, and so would what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from examples.demo_drift import __main__ as command, processes
def waits(settings, console, folder):
    with processes.running(["sleep", "600"], folder / "log") as process:
        Path({str(tmp_path / "told")!r}).write_text(f"{{process.pid}} {{folder}}")
        time.sleep(600)
command.replay = waits
sys.exit(command.main(["--replay"]))
"""
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(paths.ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "told").exists() or not (tmp_path / "told").read_text():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        pid, folder = (tmp_path / "told").read_text().split()
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()
    assert process.returncode == command.INTERRUPTED
    assert said == "interrupted; nothing is left running\n"
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(folder).exists()


def test_a_program_that_ends_is_reported_with_what_it_said(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        processes.running(["sh", "-c", "echo no such port; exit 3"], log) as process,
        pytest.raises(OperatorError, match="it ended with status 3: no such port"),
    ):
        processes.wait_for(bool, "it starts", 30, {"it": (process, log)})


def test_waiting_has_an_end() -> None:
    with pytest.raises(OperatorError, match="timed out after 0 s: it starts"):
        processes.wait_for(bool, "it starts", 0)


def test_the_monitor_reads_the_configuration_of_the_component(tmp_path: Path) -> None:
    places = Places(tmp_path / "store", tmp_path / "reference.json", tmp_path / "token")
    path = tmp_path / "monitor.json"
    path.write_text(watched.monitor_text(CARD, places))
    found = config.read(path)
    (model,) = found.models
    assert (found.store, found.clock, found.host) == (
        places.store,
        "event",
        "127.0.0.1",
    )
    assert (found.label_tokens, found.labels_port) == (places.label_token, None)
    assert model.reference == places.reference
    assert model.label_horizon_days == 30
    assert model.fairness.attributes == ("SEX",)
    assert model.approved_revisions == ("sha256:1",)
    assert json.loads(path.read_text())["cycle_seconds"] == watched.CYCLE_SECONDS


def test_rules_hold_as_long_as_a_cluster_with_this_cycle_has_them() -> None:
    assert f"[{watched.HOLD_SECONDS}s:1s]" in watched.rules(CARD)
    assert "model_drift_detected" in watched.rules(CARD)
