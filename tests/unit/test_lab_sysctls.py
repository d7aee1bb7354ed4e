"""The kernel's setting that labs raise is put back by the last one to leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import processes, sysctls
from toolchain import paths

NAME = "fs/inotify/max_user_instances"


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sysctls, "_PROC", tmp_path / "proc")
    path = tmp_path / "proc" / NAME
    path.parent.mkdir(parents=True)
    path.write_text("128\n")
    return path


def test_the_last_lab_puts_it_back(setting: Path) -> None:
    sysctls.raise_for("a")
    sysctls.raise_for("b")
    sysctls.raise_for("a")
    assert setting.read_text() == "1024\n"
    sysctls.restore_for("a")
    assert setting.read_text() == "1024\n"
    sysctls.restore_for("b")
    assert setting.read_text() == "128\n"
    sysctls.restore_for("b")
    assert setting.read_text() == "128\n"


def test_what_is_high_enough_is_left_alone(setting: Path) -> None:
    setting.write_text("4096\n")
    sysctls.raise_for("a")
    assert setting.read_text() == "4096\n"
    sysctls.restore_for("a")
    assert setting.read_text() == "4096\n"


def test_what_someone_else_set_meanwhile_stays(setting: Path) -> None:
    sysctls.raise_for("a")
    setting.write_text("2048\n")
    sysctls.restore_for("a")
    assert setting.read_text() == "2048\n"


def test_a_killed_up_is_repaired_by_the_next_one(setting: Path) -> None:
    sysctls.raise_for("a")  # and no restore_for: killed
    setting.write_text("128\n")
    sysctls.raise_for("a")
    assert setting.read_text() == "1024\n"
    sysctls.restore_for("a")
    assert setting.read_text() == "128\n"


def test_a_boot_of_the_machine_forgets(setting: Path) -> None:
    sysctls.raise_for("gone with the machine's last boot")
    kept = paths.state() / "labs" / ".sysctls.json"
    kept.write_text(kept.read_text().replace(processes.boot(), "another"))
    setting.write_text("256\n")
    sysctls.raise_for("b")
    sysctls.restore_for("b")
    assert setting.read_text() == "256\n"
