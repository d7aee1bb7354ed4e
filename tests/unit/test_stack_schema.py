"""JSON Schemas of stack files: what editors accept and reject."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from docs import generate
from slipway import cli, stack_schema
from stacks import files, layers


def errors(layer: str, content: Any) -> list[str]:
    """Paths of what the schema rejects."""
    validator = jsonschema.Draft202012Validator(stack_schema.of_layer(layer))
    found = validator.iter_errors(content)
    return sorted(".".join(map(str, error.absolute_path)) for error in found)


def content(stack: str) -> Any:
    return files.load(stack)


@pytest.mark.parametrize("layer", layers.LAYERS)
def test_the_committed_schema_is_current(layer: str) -> None:
    text = generate.schema_file(layer).read_text()
    assert text == stack_schema.text(layer), "run `make docs`"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("stack", files.known())
def test_our_stack_files_are_valid_and_name_their_schema(stack: str) -> None:
    layer = layers.of(stack).name
    assert errors(layer, content(stack)) == []
    first = files.path(stack).read_text().splitlines()[0]
    _, _, place = first.partition("$schema=")
    schema = (files.path(stack).parent / place).resolve()
    assert schema == generate.schema_file(layer)


def keywords(schema: Any) -> set[str]:
    """All words of a schema that a validator gives a meaning to."""
    if isinstance(schema, list):
        return set().union(*map(keywords, schema))
    if not isinstance(schema, dict):
        return set()
    found = set()
    for key, value in schema.items():
        found.add(key)
        if key in ("properties", "$defs"):
            found |= set().union(*map(keywords, value.values()))
        elif key not in ("default", "const", "enum"):
            found |= keywords(value)
    return found


@pytest.mark.parametrize("layer", layers.LAYERS)
def test_each_keyword_is_one_of_json_schema(layer: str) -> None:
    """Pydantic writes some bounds by names of its own, which validators ignore."""
    known = set(jsonschema.Draft202012Validator.VALIDATORS)
    annotations = {"$schema", "$defs", "title", "description", "default"}
    assert keywords(stack_schema.of_layer(layer)) <= known | annotations


WRONG = [
    ("config.slipway:models", "employmnt", None),
    ("config.slipway:models.employment.scaling", "cpu_percent", "60 %"),
    ("config.slipway:models.employment.scaling", "min_replicas", 0),
    ("config.slipway:models.employment.scaling", "min_replica", 2),
    ("config.slipway:models.employment", "log_level", "verbose"),
    ("config", "slipway:model", {}),
    ("config", "aws:region", "eu-central-1"),
    ("", "environment", ["prod"]),
]


@pytest.mark.parametrize(("path", "key", "value"), WRONG)
def test_what_is_wrong_in_itself_is_rejected(path: str, key: str, value: Any) -> None:
    wrong = content("models.mine")
    wrong["config"]["slipway:models"]["employment"]["scaling"] = {}
    assert errors("models", wrong) == []
    place = wrong
    for part in filter(None, path.split(".")):
        place = place[part]
    place[key] = value
    assert errors("models", wrong)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("a-key", True),
        ({"secure": "AAAB"}, True),
        ({"secret": "AAAB"}, False),
        ({"secure": "AAAB", "more": 1}, False),
        (7, False),
    ],
)
def test_a_secret_may_be_encrypted(value: Any, valid: bool) -> None:
    stack = content("models.mine")
    stack["config"]["slipway:client_keys"] = {"keys": {"app": value}}
    assert (errors("models", stack) == []) is valid


def test_required_settings_are_required() -> None:
    assert errors("cluster", {"config": {}})
    assert errors("cluster", {})
    assert errors("platform", {}) == []


def test_the_command_prints_it() -> None:
    result = CliRunner().invoke(cli.cli, ["schema", "models"])
    assert result.exit_code == 0
    assert result.output == stack_schema.text("models")


def test_an_unknown_layer_is_an_error() -> None:
    result = CliRunner().invoke(cli.cli, ["schema", "model"])
    assert result.exit_code == 2
    assert "models" in result.output
