"""What an installed Slipway needs, and where it finds its user's project."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from devtools.release import materials
from slipway.rendering import program_file
from slipway.rendering.render import render
from stacks import files
from tests.support.pins import pins
from toolchain import paths

PYPROJECT = paths.ROOT / "pyproject.toml"
PROJECT: dict[str, Any] = tomllib.loads(PYPROJECT.read_text())["project"]
SHIPPED = ("components", "slipway", "stacks", "toolchain")
WITH_LOCAL = {"duckdb", "numpy", "onnx", "onnxruntime"}
"""Of the extra `local`: commands that do without them load them only when they train or
optimize a model."""


def _requirements(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name((it := Requirement(line)).name): it for line in lines}


BASE = _requirements(PROJECT["dependencies"])
LOCAL = _requirements(PROJECT["optional-dependencies"]["local"])


def test_the_pins_are_the_lower_bounds() -> None:
    """Other versions were never tested: a user gets those or newer ones."""
    pinned = pins((paths.ROOT / "requirements.txt").read_text())
    asked = {name: str(it.specifier).split(",") for name, it in (BASE | LOCAL).items()}
    wrong = {
        name: bounds
        for name, bounds in asked.items()
        if f">={pinned.get(name)}" not in bounds
    }
    assert wrong == {}
    assert set(pinned) - set(asked) == set()


@pytest.mark.parametrize("name", ["pulumi", "pulumi-kubernetes"])
def test_the_sdk_suits_the_engine_that_is_pinned(name: str) -> None:
    """A newer one needs a newer CLI or plugin, which `slipway up` would not have."""
    pinned = Version(pins((paths.ROOT / "requirements.txt").read_text())[name])
    following = f"{pinned.major}.{pinned.minor + 1}.0"
    assert not BASE[name].specifier.contains(following)


def test_hatch_is_the_one_that_the_release_uses() -> None:
    built = tomllib.loads(PYPROJECT.read_text())["build-system"]["requires"]
    (wanted,) = map(Requirement, built)
    pinned = pins((paths.ROOT / "devtools" / "requirements-release.txt").read_text())
    assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)])


def _imported() -> Iterator[str]:
    """Top names of all modules that shipped code imports."""
    for part in SHIPPED:
        for file in (paths.ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    yield from (it.name.partition(".")[0] for it in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield node.module.partition(".")[0]


def test_what_shipped_code_imports_is_installed_with_it() -> None:
    installed = set(materials.needed(BASE))
    modules = {
        module
        for module, names in metadata.packages_distributions().items()
        if installed & set(map(canonicalize_name, names))
    }
    ours = {it.name for it in paths.ROOT.iterdir() if it.is_dir()}
    # Programs of images, which are shipped too: `slipway rollout` runs one's own code.
    programs = paths.ROOT.glob("images/*/*/__init__.py")
    ours |= {it.parent.name for it in programs}
    foreign = set(_imported()) - sys.stdlib_module_names - ours
    assert len(foreign) > 10
    assert foreign - modules == WITH_LOCAL


def test_the_entry_points_exist() -> None:
    for name in PROJECT["scripts"].values():
        module, _, function = name.partition(":")
        text = (paths.ROOT / f"{module.replace('.', '/')}.py").read_text()
        assert f"def {function}(" in text


@pytest.mark.parametrize("below", [".", "a/b"])
def test_an_installed_slipway_works_on_the_project_around_it(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: theirs\n")
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(paths, "ROOT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path / below)
    assert paths._project() == tmp_path


def test_without_a_project_it_works_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert paths._project() == tmp_path


def test_a_folder_that_is_no_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(files.StackFileError, match=r"there is no .*Pulumi\.yaml, nor"):
        files.project_name(tmp_path)


def test_a_checkout_is_its_own_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: theirs\n")
    monkeypatch.chdir(tmp_path)
    assert paths._project() == paths.ROOT


def test_a_users_program_is_run_with_its_folder_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "their_names.py").write_text('NAME = "ours"\n')
    file = tmp_path / "__main__.py"
    file.write_text(
        "import pulumi, their_names\npulumi.export('a', their_names.NAME)\n"
    )
    before = list(sys.path)
    found = render("models.lab", {}, program=program_file.of(file))
    assert found.outputs == {"a": "ours"}
    assert sys.path == before
