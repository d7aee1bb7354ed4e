"""One reader and one writer of YAML, and mistakes in files that they tell."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from components import yaml_text
from stacks import files
from toolchain import paths

PARTS = ("components", "slipway", "stacks")
ITS_OWN = paths.ROOT / "components" / "yaml_text"


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def test_nothing_else_reads_or_writes_yaml() -> None:
    others = [
        str(file.relative_to(paths.ROOT))
        for part in PARTS
        for file in (paths.ROOT / part).rglob("*.py")
        if ITS_OWN not in file.parents and "yaml" in _imports(file)
    ]
    assert others == []


def test_a_key_that_stands_twice_is_reported_with_its_path_and_both_lines(
    tmp_path: Path,
) -> None:
    file = tmp_path / "Pulumi.models.x.yaml"
    file.write_text("config:\n  slipway:models:\n    a: {}\n    a: {}\n")
    with pytest.raises(files.StackFileError) as caught:
        files.read(file)
    for said in (str(file), "config.slipway:models.a", "3", "4", "twice"):
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("0o17", 15),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("012345678901", 12345678901.0),
    ],
)
def test_bare_words_mean_what_the_engine_reads(word: str, value: object) -> None:
    found = yaml_text.read(f"a: {word}", "text")["a"]
    assert found == value
    assert type(found) is type(value)
