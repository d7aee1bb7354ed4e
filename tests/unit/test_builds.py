"""The table of Go programs, and the keys under which their results are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab import builds


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this module's own; Go's standard library is compiled in it once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def sources(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of lab/binaries that a test may change, built into a cache of its own."""
    target = tmp_path / "binaries"
    shutil.copytree(builds.SOURCES, target)
    monkeypatch.setattr(builds, "SOURCES", target)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return target


def test_every_folder_is_a_group_and_every_group_a_folder() -> None:
    folders = {p.name for p in builds.SOURCES.iterdir() if p.is_dir()}
    assert folders == set(builds.groups())


@pytest.mark.parametrize("name", builds.groups())
def test_a_group_is_pinned(name: str) -> None:
    group = builds.group(name)
    assert (group.source / "go.mod").is_file()
    assert (group.source / "go.sum").is_file()
    assert group.binaries or (group.files and not group.packages)
    assert group.version().startswith("v")
    assert not [flag for flag in map(group.expand, group.ldflags) if "{" in flag]


def test_the_kubernetes_version_is_the_one_of_go_mod() -> None:
    group = builds.group("kubernetes")
    assert f"k8s.io/kubernetes {group.version()}" in (
        group.source / "go.mod"
    ).read_text().replace("require ", "")
    assert group.expand("{version} {major} {minor}").startswith("v1.")


@pytest.mark.parametrize("change", ["go.sum", "main.go", "groups.toml"])
def test_a_key_follows_its_inputs(sources: Path, change: str) -> None:
    before = builds.group("pause").key()
    if change == "groups.toml":
        text = (sources / change).read_text()
        (sources / change).write_text(
            text.replace('binaries = ["pause"]', 'binaries = ["pause2"]')
        )
    else:
        path = sources / "pause" / change
        path.write_text(path.read_text() + "\n")
    assert builds.group("pause").key() != before


def test_the_lab_itself_needs_no_group_that_is_built_on_demand() -> None:
    assert {name for name, g in builds.groups().items() if g.on_demand} == {
        "compose",
        "compose-spec",
        "karpenter",
        "karpenter-aws",
        "keda",
        "kwok",
    }
    assert not {"compose", "karpenter", "keda", "kwok"} & set(builds.of_the_lab())
    assert "kubernetes" in builds.of_the_lab()


def test_a_program_is_built_once(sources: Path) -> None:
    group = builds.group("pause")
    assert not group.is_built
    assert builds.build(group) > 0
    assert group.binary("pause").stat().st_mode & 0o111
    assert builds.build(group) == 0.0


def test_a_failed_build_says_where_and_leaves_nothing(sources: Path) -> None:
    (sources / "pause" / "main.go").write_text("package main\n\nfunc main() { no }\n")
    group = builds.group("pause")
    with pytest.raises(builds.BuildError, match=r"pause did not build .*go\.mod"):
        builds.build(group)
    assert not group.is_built


def test_a_binary_of_another_group_is_refused() -> None:
    with pytest.raises(KeyError, match="kubectl is not a binary of group pause"):
        builds.group("pause").binary("kubectl")
