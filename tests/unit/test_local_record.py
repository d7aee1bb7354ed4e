"""The latest run of `slipway local up` of each kind is kept and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from slipway import local_record


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "slipway").mkdir()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"programs": "", "hosts": ""}, local_record.UNCHANGED),
        ({"programs": "built pulumi", "stack": "9 create"}, local_record.COLD),
        ({"programs": "", "stack": "9 create"}, local_record.NEW_LAB),
        ({"hosts": "booted cp1", "stack": ""}, local_record.STARTED),
    ],
)
def test_the_kind_of_a_run(said: dict[str, str], kind: str) -> None:
    assert local_record.kind_of(said) == kind


def test_the_latest_of_each_kind_is_kept() -> None:
    local_record.add([("Hosts", 50.0, "booted cp1"), ("Stack", 3.0, "")])
    local_record.add([("Hosts", 40.0, "booted cp1"), ("Stack", 2.0, "")])
    local_record.add([("Hosts", 9.0, ""), ("Stack", 1.5, "")])
    runs = local_record.load()
    assert runs[local_record.STARTED].seconds == {"Hosts": 40.0, "Stack": 2.0}
    assert set(runs) == {local_record.STARTED, local_record.UNCHANGED}
    console = Console(record=True, width=120)
    console.print(local_record.table())
    shown = console.export_text()
    assert "42.0" in shown
    assert "10.5" in shown
    assert "50.0" not in shown


def test_a_broken_record_is_no_error() -> None:
    local_record.file().write_text("{")
    assert local_record.load() == {}
    local_record.add([("Hosts", 1.0, "")])
    assert set(local_record.load()) == {local_record.UNCHANGED}
