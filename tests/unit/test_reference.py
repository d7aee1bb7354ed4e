"""Generated pages are what their sources say; every setting says what it means."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from components import setting_texts
from components.setting_problems import bare, item, variants
from components.settings import Settings
from docs import generate, rule_reference
from stacks import layers
from toolchain import paths


def classes(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The class and all settings classes in it."""
    yield model
    for field in model.model_fields.values():
        whole = bare(field.annotation)
        kinds = [whole, item(whole)]
        kinds += [v for kind in (whole, item(whole)) for v in variants(kind).values()]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from classes(kind)


ALL = {c for layer in layers.TABLE for c in classes(layer.settings)}
FIELDS = [(c, name) for c in ALL for name in c.model_fields]


def test_the_page_of_settings_is_generated() -> None:
    written = (paths.ROOT / generate.SETTINGS).read_text()
    assert written == generate.settings_page(), "run `make docs`"


def test_the_page_of_rules_is_generated() -> None:
    written = (paths.ROOT / rule_reference.PAGE).read_text()
    assert written == rule_reference.page(), "run `make docs`"


def _beginnings(file: Path) -> Iterator[str]:
    """The texts of reasons of production in a module, as far as they are constant."""
    for node in ast.walk(ast.parse(file.read_text())):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and text.startswith(rule_reference.PRODUCTION):
            yield text.removeprefix(rule_reference.PRODUCTION)


def test_rules_of_settings_are_in_the_list_of_rules() -> None:
    page = (paths.ROOT / rule_reference.PAGE).read_text()
    _, _, listed = page.partition("## Settings in production\n")
    files = sorted((paths.ROOT / "components").rglob("production_rules.py"))
    reasons = [text for file in files for text in _beginnings(file)]
    assert len(files) == 3
    assert len(reasons) > 15
    assert [text for text in reasons if f"| {text}" not in listed] == []


def test_there_are_settings_to_describe() -> None:
    assert len(ALL) > 15
    assert len(FIELDS) > 80


@pytest.mark.parametrize(
    ("model", "name"),
    sorted(FIELDS, key=str),
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)
def test_every_setting_says_what_it_means(model: type[BaseModel], name: str) -> None:
    description = setting_texts.of(model).get(name, "")
    assert description, "add a text below the field"
    assert description.endswith(".")


@pytest.mark.parametrize("model", sorted(ALL, key=str), ids=lambda m: m.__name__)
def test_every_class_is_frozen_strict_and_described(model: type[BaseModel]) -> None:
    assert issubclass(model, Settings)
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    assert model.__doc__
    assert model.__doc__ != Settings.__doc__


@pytest.mark.parametrize(
    ("model", "name"),
    [f for f in sorted(FIELDS, key=str) if f[0].model_fields[f[1]].annotation is int],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)
def test_every_number_has_bounds_and_a_unit_or_is_a_count(
    model: type[BaseModel], name: str
) -> None:
    metadata = model.model_fields[name].metadata
    assert any(getattr(rule, "ge", None) is not None for rule in metadata)
    assert any(getattr(rule, "le", None) is not None for rule in metadata)
    units = ("seconds", "minutes", "hours", "days", "gib", "mib", "kib", "percent")
    units += ("millicores", "per_second", "celsius")
    counts = (
        "replicas",
        "rows",
        "labels",
        "features",
        "unavailable",
        "connections",
        "port",
        "images",
    )
    counts += ("nodes", "gpus", "instances", "pods", "requests", "batches", "threads")
    counts += (
        "intervals",
        "repetitions",
        "restarts",
        "stages",
        "version",
        "weight",
        "attempts",
        "labels",
        "features",
        "units",
        "salt",
        "cores",
        "vcpus",
        "retries",
    )
    assert name.endswith((*units, *counts)), f"{name}: put its unit into its name"
