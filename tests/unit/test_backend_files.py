"""What a killed engine left half-written beside a stack's file."""

from __future__ import annotations

from pathlib import Path

from slipway.engine import backend_files


def test_an_empty_attributes_file_goes_and_all_else_stays(tmp_path: Path) -> None:
    folder = tmp_path / ".pulumi" / "stacks" / "slipway"
    folder.mkdir(parents=True)
    kept = {
        "models.lab.json": "{}",
        "models.lab.json.bak": "{}",
        "models.lab.json.bak.attrs": "{}",
        "models.prod.json.attrs": "",
        "models.labour.json.attrs": "",
    }
    left = {"models.lab.json.attrs": "", "models.lab.json.18ec9011d6c9b795.tmp": "{"}
    for name, text in {**kept, **left}.items():
        (folder / name).write_text(text)
    said: list[str] = []
    backend_files.mend(tmp_path, "slipway", "models.lab", said.append)
    assert {path.name for path in folder.iterdir()} == set(kept)
    assert said == ["Removed models.lab.json.attrs, which a killed run left empty."]


def test_a_backend_without_the_stack_is_left_alone(tmp_path: Path) -> None:
    backend_files.mend(tmp_path, "slipway", "models.lab", lambda _: None)
    assert not list(tmp_path.iterdir())
