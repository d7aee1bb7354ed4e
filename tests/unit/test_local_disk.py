"""What is kept on disk is told by what it is, and nothing is told twice."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from slipway.local import disk
from toolchain import paths


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def write(path: Path, megabytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(megabytes * 10**6))


def test_each_byte_is_reported_once_by_what_it_is(machine: Path) -> None:
    write(paths.cache() / "binaries/pulumi/key/bin/pulumi", 3)
    write(paths.cache() / "hosts-bin/key/kubelet", 2)
    write(paths.cache() / "venv-emulators/x", 1)
    write(paths.cache() / "unknown.file", 4)
    write(paths.state() / "labs/lab/hosts/cp1/disk", 6)
    write(paths.state() / "pulumi/stack.json", 1)
    found = {one.what: one.size / 10**6 for one in disk.kept()}
    assert found == {
        "programs": 5,
        disk.PYTHON: 1,
        disk.REST: 4,
        disk.LAB: 6,
        disk.STATE: 1,
    }
    assert all(one.folder.is_relative_to(machine) for one in disk.kept())


def test_a_file_with_two_names_counts_once(machine: Path) -> None:
    program = paths.cache() / "binaries/kubernetes/key/bin/kubelet"
    write(program, 3)
    (paths.cache() / "hosts-bin").mkdir()
    os.link(program, paths.cache() / "hosts-bin/kubelet")
    (programs,) = disk.kept()
    assert programs.size == 3 * 10**6


def test_the_stacks_state_is_not_offered_for_deletion(machine: Path) -> None:
    write(paths.state() / "pulumi/stack.json", 1)
    (state,) = disk.kept()
    assert state.deleting.startswith("never")


def test_a_machine_with_nothing_has_nothing(machine: Path) -> None:
    assert disk.kept() == []
    out = io.StringIO()
    Console(file=out, width=120).print(disk.table())
    assert "0.00" in out.getvalue()
