"""Records of processes: a pid that was given to another process is not taken for it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

from lab.processes import ProcessRecord, alive, start_time


def own() -> ProcessRecord:
    record = ProcessRecord.of(os.getpid())
    assert record
    return record


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    own().write(tmp_path / "record.json")
    assert alive(tmp_path / "record.json") == own()


def test_another_start_or_boot_is_another_process() -> None:
    assert own().is_alive
    assert not replace(own(), started=own().started - 1).is_alive
    assert not replace(own(), boot="another").is_alive


def test_broken_or_missing_records_mean_no_process(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert alive(path) is None
    for text in ("", "{", '{"pid": 1}', "[]"):
        path.write_text(text)
        assert alive(path) is None


def test_an_ended_process_is_dead_before_and_after_it_is_reaped() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        record = ProcessRecord.of(process.pid)
        assert record
        process.kill()
        assert record.wait(5)  # a zombie now
        assert start_time(process.pid) is None
    assert not record.is_alive


def test_names_with_brackets_do_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        try:
            started = start_time(process.pid)
            assert started is not None
            assert started >= own().started
        finally:
            process.kill()
