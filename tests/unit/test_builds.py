"""The table of Go programs, and the keys under which their results are kept."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.kube import wait_until
from toolchain import builds, go

APART = {"compose", "compose-spec", "karpenter-aws"}
"""Compose wants older libraries; of the others no program is built."""
OWN = {
    # KEDA wants newer ones than those that Kubernetes 1.36 is written for.
    "keda": {
        "github.com/google/cel-go",
        "go.etcd.io/etcd/api/v3",
        "go.etcd.io/etcd/client/pkg/v3",
        "go.etcd.io/etcd/client/v3",
        "sigs.k8s.io/apiserver-network-proxy/konnectivity-client",
    },
    # The engine's own replacement.
    "pulumi": {"github.com/atotto/clipboard"},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this module's own; Go's standard library is compiled in it once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def sources(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of toolchain/binaries that a test may change, with a cache of its own."""
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


def test_groups_agree_on_the_modules_that_they_share() -> None:
    """Else their packages are compiled once for each: 45,000 files instead of 23,000.

    `go get MODULE@VERSION` in each group's folder raises one in all of them.
    """
    held: dict[str, dict[str, str]] = defaultdict(dict)
    for name, group in builds.groups().items():
        if name not in APART:
            for module, version in group.pins().items():
                if module not in OWN.get(name, ()):
                    held[module][name] = version
    differing = {m: by for m, by in held.items() if len(set(by.values())) > 1}
    assert differing == {}
    assert len(held["k8s.io/client-go"]) >= 9


def test_the_kubernetes_version_is_the_one_of_go_mod() -> None:
    group = builds.group("kubernetes")
    assert f"k8s.io/kubernetes {group.version()}" in (
        group.source / "go.mod"
    ).read_text().replace("require ", "")
    assert group.expand("{version} {major} {minor}").startswith("v1.")


@pytest.mark.programs
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


@pytest.mark.programs
def test_a_program_is_built_once(sources: Path) -> None:
    group = builds.group("pause")
    assert not group.is_built
    assert builds.build(group) > 0
    assert group.binary("pause").stat().st_mode & 0o111
    assert builds.build(group) == 0.0


@pytest.mark.programs
def test_a_failed_build_says_where_and_leaves_nothing(sources: Path) -> None:
    (sources / "pause" / "main.go").write_text("package main\n\nfunc main() { no }\n")
    group = builds.group("pause")
    with pytest.raises(builds.BuildError, match=r"pause did not build .*go\.mod"):
        builds.build(group)
    assert not group.is_built


@pytest.mark.programs
def test_lines_of_a_module_are_edited_or_the_build_says_that_they_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "module"
    module.mkdir()
    (module / "await.go").write_text('import "diff/v4"\n')
    monkeypatch.setattr(builds, "_module_folder", lambda *_: module)
    monkeypatch.setattr(builds.Group, "version", lambda _: "v1.2.3")
    work = tmp_path / "work"
    work.mkdir()
    (work / "go.mod").write_text("module x\n")
    group = builds.Group(
        "x", (), (), module="a/b", edit={"await.go": {"diff/v4": "diff/v6"}}
    )
    builds._edit(group, work)
    assert (work / "module/await.go").read_text() == 'import "diff/v6"\n'
    assert "replace a/b => ./module" in (work / "go.mod").read_text()
    assert (module / "await.go").read_text() == 'import "diff/v4"\n'
    gone = replace(group, edit={"await.go": {"diff/v5": ""}})
    shutil.rmtree(work / "module")
    with pytest.raises(builds.BuildError, match=r"await.go of a/b v1.2.3, which has"):
        builds._edit(gone, work)


@pytest.mark.parametrize(
    ("gibibytes", "cores", "expected"),
    [
        (24, 2, {"GOGC": "off", "GOMEMLIMIT": str(6 * 2**30)}),
        (16, 16, {"GOGC": "200"}),
    ],
)
def test_the_compiler_collects_no_garbage_where_there_is_memory(
    monkeypatch: pytest.MonkeyPatch,
    gibibytes: int,
    cores: int,
    expected: dict[str, str],
) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": gibibytes * 2**18}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    for name in ("GOGC", "GOMEMLIMIT"):
        monkeypatch.delenv(name, raising=False)
    environment = go.environment()
    assert {k: environment[k] for k in environment if k in ("GOGC", "GOMEMLIMIT")} == (
        expected
    )
    monkeypatch.setenv("GOGC", "50")
    assert go.environment()["GOGC"] == "50"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], builds.of_the_lab()),
        (["keda", "pause"], ["keda", "pause"]),
        (["--all"], list(builds.groups())),
    ],
)
def test_the_command_builds_what_is_named(
    monkeypatch: pytest.MonkeyPatch, words: list[str], expected: list[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(builds, "build_all", lambda names, _: asked.extend(names) or {})
    assert builds.main(words) == 0
    assert asked == expected


def test_the_command_names_the_groups_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        builds.main(["keda", "nope"])
    assert ended.value.code == 2
    assert "no group nope; there are pulumi, " in capsys.readouterr().err


@pytest.mark.parametrize(
    "programs", [("sh", "nice", "rm", "setsid"), ("sh", "nice", "rm")]
)
def test_caches_are_out_of_the_way_at_once_and_then_gone(
    programs: tuple[str, ...],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what an earlier process was to delete when it was ended; macOS too."""
    here = tmp_path_factory.mktemp("bin")
    for name in programs:
        (here / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(here))
    caches = tmp_path / "build"
    monkeypatch.setattr(go, "caches", lambda: caches)
    for folder in (caches, tmp_path / f"build{builds.DELETED}1"):
        folder.mkdir()
        (folder / "module.go").touch()
    builds._delete_caches()
    assert not caches.exists()
    wait_until(lambda: not list(tmp_path.iterdir()), 120, "deleted", pause=0.05)


def test_a_binary_of_another_group_is_refused() -> None:
    with pytest.raises(KeyError, match="kubectl is not a binary of group pause"):
        builds.group("pause").binary("kubectl")
