"""The CLI's own logs of all that it passes on: off in a home of ours, else its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.engine import pulumi_cli


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    return tmp_path / "slipway"


def test_the_cli_finds_no_folder_for_them(cache: Path) -> None:
    assert pulumi_cli.home() == cache / "pulumi-home"
    assert (cache / "pulumi-home" / "logs").is_file()


def test_those_of_earlier_runs_are_deleted(cache: Path) -> None:
    folder = cache / "pulumi-home" / "logs"
    folder.mkdir(parents=True)
    (folder / "a.log").write_text("x" * 1000)
    assert pulumi_cli.home() == cache / "pulumi-home"
    assert folder.is_file()


def test_a_users_own_home_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    (own / "logs").mkdir(parents=True)
    monkeypatch.setenv("PULUMI_HOME", str(own))
    assert pulumi_cli.home() == own
    assert (own / "logs").is_dir()
