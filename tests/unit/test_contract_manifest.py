"""One list of the keys of model.yaml: contracts/model_manifest.yaml."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from slipway.ledger import card_fields
from tests.support.contracts import contract
from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "model_server"))

from model_server import manifest_keys
from model_server.manifest import ModelError, read_manifest

CONTRACT = contract("model_manifest")
FIELDS = CONTRACT["fields"]
WRITERS = {
    "models/employment/training/model_folder.py": "describe",
    "examples/training_parts/model_folder.py": "write",
}
"""Programs that write a model.yaml, and the functions that do."""


def meant_for(reader: str) -> set[str]:
    return {name for name, field in FIELDS.items() if field["for"] == reader}


def test_the_server_takes_the_keys_of_the_contract() -> None:
    assert meant_for("server") == manifest_keys.SERVED
    assert meant_for("people") == manifest_keys.DESCRIBING
    assert set(CONTRACT["tensor"]) == manifest_keys.TENSOR
    assert set(CONTRACT["prediction"]) == manifest_keys.PREDICTION
    assert set(contract("model_log_policy")["actions"]) == manifest_keys.LOG


def test_the_server_needs_the_keys_that_are_not_optional(tmp_path: Path) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, 1]}
    given = {"name": "m", "version": "1", "revision": "r-1"}
    given |= {"inputs": [tensor], "outputs": [tensor]}
    required = {name for name, field in FIELDS.items() if not field.get("optional")}
    assert given.keys() == required
    file = tmp_path / "model.yaml"
    file.write_text(json.dumps(given))
    assert read_manifest(file).name == "m"
    for name in required:
        file.write_text(json.dumps({k: v for k, v in given.items() if k != name}))
        with pytest.raises(ModelError, match=name):
            read_manifest(file)


def test_cards_read_keys_of_the_contract() -> None:
    at_top = {field.name for field in card_fields.FIELDS if field.at_top}
    assert at_top
    assert at_top | {card_fields.ABOUT} <= meant_for("people")


@pytest.mark.parametrize("file", WRITERS)
def test_trainings_write_keys_of_the_contract(file: str) -> None:
    (written,) = (
        keys
        for function in ast.walk(ast.parse((paths.ROOT / file).read_text()))
        if isinstance(function, ast.FunctionDef) and function.name == WRITERS[file]
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for keys in [{k.value for k in node.keys if isinstance(k, ast.Constant)}]
        if "inputs" in keys
    )
    assert (
        {"name", "version", "revision", "inputs", "outputs"} <= written <= set(FIELDS)
    )


def test_the_readme_names_every_key() -> None:
    readme = (paths.ROOT / "images" / "model_server" / "README.md").read_text()
    for name in FIELDS:
        assert f"`{name}`" in readme or f"\n{name}:" in readme, name
