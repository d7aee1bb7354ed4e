"""Python keeps its compiled files in the checkout, where they change nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import playbook
from lab.lab import Lab
from toolchain import paths

VARIABLE = "PYTHONDONTWRITEBYTECODE"


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_what_make_runs_may_keep_them() -> None:
    shown = subprocess.run(
        [
            "make",
            "--silent",
            "--eval",
            "environment-shown: ; @env",
            "environment-shown",
        ],
        cwd=paths.ROOT,
        env={**os.environ, VARIABLE: "1", "KEPT": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    names = {line.partition("=")[0] for line in shown}
    assert "KEPT" in names
    assert VARIABLE not in names


def test_they_do_not_make_the_lab_configure_its_hosts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = tmp_path / "playbooks" / "roles" / "cluster" / "filter_plugins"
    plugins.mkdir(parents=True)
    source = plugins / "values.py"
    source.write_text("x = 1\n")
    images = tmp_path / "images"
    images.mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(playbook, "PLAYBOOKS", tmp_path / "playbooks")

    def digest() -> str:
        return Lab("digested")._digest({"opt/slipway/images": images})

    before = digest()
    (plugins / "__pycache__").mkdir()
    (plugins / "__pycache__" / "values.cpython-311.pyc").write_bytes(b"compiled")
    assert digest() == before
    source.write_text("x = 2\n")
    assert digest() != before
