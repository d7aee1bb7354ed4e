"""The arrows between the parts point one way (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import paths
from slipway.render import render
from tests.support.rendered import IMAGES

COMPONENTS = paths.ROOT / "components"
ALLOWED: dict[str, set[str]] = {
    "components": {"components", "lab"},
    "stacks": {"stacks", "components"},
    "lab": {"lab"},
    "slipway": {"slipway", "stacks", "components", "lab", "images"},
    "images": {"images"},
    "benchmarks": {"benchmarks", "lab", "slipway", "images"},
    "docs": {"docs", "components", "lab", "slipway", "stacks", "images", "playbooks"},
    "playbooks": {"playbooks"},
}
"""Whom each part may import; nothing but tests imports tests."""
PARTS = {*ALLOWED, "tests"}
PULUMI_DOOR = ("stacks/__main__.py", "slipway.pulumi_door")
"""The entry of `pulumi up`, which nothing imports, has slipway ask the cluster first,
as the entry of `slipway up` does."""

LAB_FOR_COMPONENTS = {"builds", "commands", "helm", "locks", "paths"}
"""Of the lab, components use what fetches and caches; never hosts or their network."""
STACKS_FOR_SLIPWAY = {
    f"stacks.{part}" for part in ("config", "files", "layers", "values")
}
"""Slipway runs a stack's program by its name and imports none."""


def files(part: str) -> list[Path]:
    return sorted((paths.ROOT / part).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(part: str) -> set[tuple[str, str]]:
    """(file, module) of every import of one of our own parts."""
    return {
        (str(file.relative_to(paths.ROOT)), name)
        for file in files(part)
        for name in imported(file)
        if name.partition(".")[0] in PARTS
    }


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_those_below_it(part: str) -> None:
    wrong = {
        (file, name)
        for file, name in imports(part)
        if name.partition(".")[0] not in ALLOWED[part] and (file, name) != PULUMI_DOOR
    }
    assert wrong == set()


def test_components_use_the_labs_cache_and_never_its_hosts() -> None:
    of_lab = {name for _, name in imports("components") if name.startswith("lab")}
    assert of_lab
    used = {name.split(".")[1] for name in of_lab}
    assert used <= LAB_FOR_COMPONENTS


def test_slipway_loads_stacks_by_name_only() -> None:
    found = {
        ".".join(name.split(".")[:2])
        for _, name in imports("slipway")
        if name.startswith("stacks")
    }
    assert found <= STACKS_FOR_SLIPWAY


def test_components_read_no_configuration_of_pulumis() -> None:
    """They are given their arguments; `pulumi.Config` is for stacks.config alone."""
    for part in ("components", "stacks"):
        for file in files(part):
            if file == paths.ROOT / "stacks" / "config.py":
                continue
            text = file.read_text()
            assert "pulumi.Config" not in text, file
            assert "runtime.config" not in text, file


def test_stacks_are_wiring() -> None:
    for file in files("stacks"):
        assert len(file.read_text().splitlines()) <= 150, file


@pytest.mark.parametrize("stack", ["platform.lab", "models.lab"])
def test_every_component_has_the_type_of_its_folder_and_class(stack: str) -> None:
    types = {
        resource.type
        for resource in render(stack, images=IMAGES).resources
        if not resource.custom
    }
    assert types
    for type_ in types:
        project, folder, name = type_.split(":")
        assert project == "slipway"
        texts = [f.read_text() for f in (COMPONENTS / folder).glob("*.py")]
        assert any(f"\nclass {name}(" in text for text in texts), type_


def test_every_component_registers_its_outputs() -> None:
    made = [f for f in files("components") if '"slipway:' in f.read_text()]
    assert len(made) >= 5
    for file in made:
        assert "register_outputs" in file.read_text(), file


def test_files_are_small_enough_to_be_one_thing() -> None:
    long = [
        str(file.relative_to(paths.ROOT))
        for part in PARTS
        for file in files(part)
        if len(file.read_text().splitlines()) > 400
    ]
    assert long == []
