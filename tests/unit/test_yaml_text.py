"""One reader and one writer of YAML, and mistakes in files that they tell."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from components import yaml_text
from components.yaml_text import bounds
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


DEEP = yaml_text.DEEPEST
FORMS = {
    "flow": lambda levels: "[" * levels + "1" + "]" * levels,
    "mappings": lambda levels: "{a: " * levels + "1" + "}" * levels,
    "dashes": lambda levels: "- " * levels + "a",
    "block": lambda levels: "".join(f"{' ' * n}a:\n" for n in range(levels)),
    "aliases": lambda levels: (
        "- &x0 [1]\n" + "".join(f"- &x{n} [*x{n - 1}]\n" for n in range(1, levels - 1))
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dialect", yaml_text.Dialect)
def test_levels_are_bounded_whatever_makes_them(
    form: str, dialect: yaml_text.Dialect
) -> None:
    assert yaml_text.read(FORMS[form](DEEP), "a.yaml", dialect)
    with pytest.raises(yaml_text.YamlError) as caught:
        yaml_text.read(FORMS[form](DEEP + 1), "a.yaml", dialect)
    said = "mappings and lists are nested more than 100 levels deep"
    assert str(caught.value).startswith("a.yaml is refused: line ")
    assert str(caught.value).endswith(said)


def test_each_document_has_levels_of_its_own() -> None:
    text = FORMS["flow"](DEEP)
    assert len(yaml_text.read_all(f"{text}\n---\n{text}", "a.yaml")) == 2


def test_aliases_that_multiply_are_refused() -> None:
    def text(levels: int) -> str:
        ten = ", ".join(["*x{0}"] * 10)
        lines = (f"- &x{n + 1} [{ten.format(n)}]\n" for n in range(levels))
        return "- &x0 1\n" + "".join(lines)

    assert len(yaml_text.read(text(3), "a.yaml")) == 4
    with pytest.raises(yaml_text.YamlError, match="stand for more than 100000 values"):
        yaml_text.read(text(5), "a.yaml")


def test_aliases_of_long_texts_are_refused() -> None:
    """JSON of the values has each of them again, so a file would become gigabytes."""

    def text(aliases: int) -> str:
        long = "x" * 100_000
        return f"a: &a {long}\nb: [{', '.join(['*a'] * aliases)}]\n"

    assert len(yaml_text.read(text(90), "a.yaml")["b"]) == 90
    with pytest.raises(yaml_text.YamlError, match="stand for more than 100000 values"):
        yaml_text.read(text(110), "a.yaml")


def test_aliases_of_short_texts_are_read() -> None:
    many = ", ".join(["*a"] * 90_000)
    assert len(yaml_text.read(f"- &a name\n- [{many}]\n", "a.yaml")[1]) == 90_000


def test_what_contains_itself_is_refused() -> None:
    with pytest.raises(yaml_text.YamlError) as caught:
        yaml_text.read("a: 1\nb: &b\n  c: [*b]\n", "a.yaml")
    said = "a.yaml is refused: line 2, column 4: it contains itself, by an alias"
    assert str(caught.value) == said


def test_many_values_without_aliases_are_read() -> None:
    wide = "&a [" + "1," * 150_000 + "]"
    assert len(yaml_text.read(wide + " # *", "a.yaml")) == 150_000


@pytest.mark.parametrize("word", ["9" * 5000, "-" + "1" * 5000])
def test_a_number_of_very_many_digits_is_a_text(word: str) -> None:
    assert yaml_text.read(word, "a.yaml") == word


def test_a_number_of_many_digits_is_a_float_as_in_go() -> None:
    assert yaml_text.read("9" * 30, "a.yaml") == 1e30


def test_only_files_of_a_bounded_size_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, pipe = tmp_path / "a.yaml", tmp_path / "pipe"
    file.write_text("a: 1\n")
    os.mkfifo(pipe)
    assert yaml_text.read_file(file, "a.yaml") == {"a": 1}
    monkeypatch.setattr(bounds, "LARGEST_BYTES", 4)
    with pytest.raises(ValueError, match=f"{file}: it has 5 bytes, and 4 is the most"):
        yaml_text.read_file(file, "a.yaml")
    with pytest.raises(ValueError, match=f"{pipe}: it is not a regular file"):
        yaml_text.read_file(pipe, "pipe")
    with pytest.raises(FileNotFoundError):
        yaml_text.read_file(tmp_path / "none", "none")
