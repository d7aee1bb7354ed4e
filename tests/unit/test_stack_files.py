"""Stack files and layers: what is read, and what is said of a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway import stack_files
from stacks import layers, values


def checkout(folder: Path, text: str) -> Path:
    file = stack_files.path("models.lab", folder)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return folder


def test_a_missing_stack_names_the_known_ones(tmp_path: Path) -> None:
    checkout(tmp_path, "config: {}\n")
    (tmp_path / "stacks/config/Pulumi.platform.lab.yaml").write_text("")
    with pytest.raises(stack_files.StackFileError) as error:
        stack_files.load("models.prod", tmp_path)
    assert str(error.value) == (
        f"there is no stack models.prod: {tmp_path}/stacks/config/"
        "Pulumi.models.prod.yaml does not exist; known stacks: platform.lab, "
        "models.lab. Copy one of their files to it"
    )


@pytest.mark.parametrize("text", ["- a\n", "config: [1]\n", "a: [\n"])
def test_a_file_that_is_no_stack_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(stack_files.StackFileError):
        stack_files.load("models.lab", checkout(tmp_path, text))


@pytest.mark.parametrize("name", ["models", "models.", ".lab", "nothing.lab", ""])
def test_a_name_without_a_layer_is_refused(name: str) -> None:
    with pytest.raises(layers.UnknownLayerError, match="the layers are"):
        layers.split(name)


def test_the_environment_may_have_dots() -> None:
    assert layers.split("models.prod.eu-1") == ("models", "prod.eu-1")


@pytest.mark.parametrize(
    "environment", ["<b>", "a b", "-a", ".a", "a\n", "a/b", "a`", "é", "a" * 81]
)
def test_an_environment_of_other_characters_is_refused(environment: str) -> None:
    """A stack file's name stands in reports and in names of files."""
    with pytest.raises(layers.UnknownLayerError) as caught:
        layers.split(f"models.{environment}")
    assert str(caught.value) == (
        f"stacks/config/Pulumi.models.<environment>.yaml: {environment!r}\n"
        "  reason: the environment in a stack's name is 1 to 80 letters, digits, '-', "
        "'_' and '.', with a letter or digit first\n"
        "  fix: name the stack and its file otherwise"
    )


@pytest.mark.parametrize("value", [{"a": [1, True, None, "2"]}, [1, {"b": 1.5}], "x"])
def test_what_is_encoded_is_decoded(value: object) -> None:
    assert values.decode(values.encode(value)) == value


def test_a_text_that_only_looks_like_a_mapping_stays_a_text() -> None:
    assert values.decode("{not json") == "{not json"


@pytest.mark.parametrize("text", ["[" * 101 + "]" * 101, f"[{'1' * 5000}]"])
def test_a_text_that_python_cannot_or_should_not_decode_stays_a_text(text: str) -> None:
    assert values.decode(text) == text
    assert values.decode("[" * 100 + "]" * 100) == json.loads("[" * 100 + "]" * 100)


def test_a_file_that_is_too_deep_is_refused_by_name(tmp_path: Path) -> None:
    deep = "config:\n  models: " + "[" * 101 + "]" * 101
    with pytest.raises(stack_files.StackFileError) as caught:
        stack_files.load("models.lab", checkout(tmp_path, deep))
    assert "Pulumi.models.lab.yaml is refused: line 2, column " in str(caught.value)


def test_every_stack_of_the_checkout_is_known() -> None:
    files = Path(stack_files.path("x.y")).parent.glob("Pulumi.*.yaml")
    assert len(stack_files.known()) == len(list(files))
