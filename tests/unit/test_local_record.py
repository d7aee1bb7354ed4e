"""The latest run of `slipway local up` of each kind is kept and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from slipway.local import record


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "slipway").mkdir()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"programs": "", "hosts": ""}, record.UNCHANGED),
        ({"programs": "built pulumi", "stack": "9 create"}, record.COLD),
        ({"programs": "", "stack": "9 create"}, record.NEW_LAB),
        ({"hosts": "booted cp1", "stack": ""}, record.STARTED),
    ],
)
def test_the_kind_of_a_run(said: dict[str, str], kind: str) -> None:
    assert record.kind_of(said) == kind


def test_the_latest_of_each_kind_is_kept() -> None:
    record.add([("Hosts", 50.0, "booted cp1"), ("Stack", 3.0, "")])
    record.add([("Hosts", 40.0, "booted cp1"), ("Stack", 2.0, "")])
    record.add([("Hosts", 9.0, ""), ("Stack", 1.5, "")])
    runs = record.load()
    assert runs[record.STARTED].seconds == {"Hosts": 40.0, "Stack": 2.0}
    assert set(runs) == {record.STARTED, record.UNCHANGED}
    console = Console(record=True, width=120)
    console.print(record.table())
    shown = console.export_text()
    assert "42.0" in shown
    assert "10.5" in shown
    assert "50.0" not in shown


def test_a_broken_record_is_no_error() -> None:
    record.file().write_text("{")
    assert record.load() == {}
    record.add([("Hosts", 1.0, "")])
    assert set(record.load()) == {record.UNCHANGED}
