"""Programs come from PATH, their publisher or a build, in this order."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import publishers
from tests.support.publishers import Publishers
from toolchain import builds, downloads, elf, go, paths, programs
from toolchain.builds import BuildError
from toolchain.programs import Source

GROUPS = """
[tool]
release = "v1.4.0"
packages = ["."]
binaries = ["tool", "helper"]
versions = { tool = ["--version"], helper = ["--version"] }
[tool.download]
url = "https://get.example/{version}/{binary}"
checksums = "https://get.example/{version}/{binary}.sha256"

[own]
packages = ["."]
binaries = ["own"]
"""
BUILT = b"\x7fELF built here"


@dataclass
class Machine:
    """Empty caches, nothing on PATH, a publisher on loopback, and builds that count."""

    published: Publishers
    bin: Path
    built: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def publish(self) -> None:
        for name in ("tool", "helper"):
            content = f"#!/bin/sh\necho {name} v1.4.0\n".encode()
            listed = hashlib.sha256(content).hexdigest().encode()
            self.published.publish(f"get.example/v1.4.0/{name}", content)
            self.published.publish(f"get.example/v1.4.0/{name}.sha256", listed)

    def put_on_path(self, version: str, *names: str) -> None:
        self.bin.mkdir(exist_ok=True)
        for name in names:
            (self.bin / name).write_text(
                f"#!/bin/sh\necho {name} {version} of go1.26\n"
            )
            (self.bin / name).chmod(0o755)

    def get(self, name: str = "tool") -> programs.Programs:
        return programs.get(name, self.said.append)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    sources = tmp_path / "sources"
    for name in ("tool", "own"):
        (sources / name).mkdir(parents=True)
        (sources / name / "go.mod").write_text(f"module {name}\n")
    (sources / "groups.toml").write_text(GROUPS)
    monkeypatch.setattr(builds, "SOURCES", sources)
    monkeypatch.setattr(go, "version", lambda: "go1.26.0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    # A shell script has no ELF header; what counts as static is tested by itself.
    monkeypatch.setattr(elf, "is_static", lambda path: "dynamic" not in path.name)
    with publishers.serve() as published:
        monkeypatch.setenv(downloads.MIRROR_VARIABLE, published.address)
        found = Machine(published, tmp_path / "bin")

        def build_all(names: list[str], _: Any) -> dict[str, float]:
            for name in names:
                group = builds.group(name)
                (group.folder / "bin").mkdir(parents=True)
                for binary in group.binaries:
                    group.binary(binary).write_bytes(BUILT)
                (group.folder / "build.json").write_text("{}")
            found.built += names
            return dict.fromkeys(names, 1.0)

        monkeypatch.setattr(builds, "build_all", build_all)
        yield found


def test_those_on_path_are_taken_if_all_have_the_version(machine: Machine) -> None:
    machine.put_on_path("v1.4.0", "tool", "helper")
    got = machine.get()
    assert got.source is Source.PATH
    assert got.binary("tool") == (machine.bin / "tool").resolve()
    assert got.seconds == 0
    assert machine.published.asked == machine.built == []


@pytest.mark.parametrize(
    ("tool", "helper"), [("v1.4.0", ""), ("v1.4.0", "v1.4.1"), ("v1.5.0", "v1.5.0")]
)
def test_others_on_path_are_not_taken(machine: Machine, tool: str, helper: str) -> None:
    machine.put_on_path(tool, "tool")
    if helper:
        machine.put_on_path(helper, "helper")
    machine.publish()
    assert machine.get().source is Source.DOWNLOAD


def test_those_that_need_this_machines_libraries_are_not_taken(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.put_on_path("v1.4.0", "tool", "helper")
    monkeypatch.setattr(elf, "is_static", lambda path: path.name != "helper")
    assert programs.find("tool") is None


def test_a_program_on_path_that_fails_is_not_taken(machine: Machine) -> None:
    machine.put_on_path("v1.4.0", "tool", "helper")
    (machine.bin / "helper").write_text("#!/bin/sh\necho v1.4.0; exit 1\n")
    assert programs.find("tool") is None


@pytest.mark.parametrize(
    ("has", "newer", "expected"),
    [
        ((1, 4, 0), False, True),
        ((1, 4, 1), False, False),
        ((1, 4, 1), True, True),
        ((1, 9, 0), True, True),
        ((1, 3, 9), True, False),
        ((2, 4, 0), True, False),
        (None, True, False),
    ],
)
def test_which_version_suits(
    has: tuple[int, ...] | None, newer: bool, expected: bool
) -> None:
    assert programs.suits(has, (1, 4, 0), newer=newer) is expected


def test_they_are_downloaded_once(machine: Machine) -> None:
    machine.publish()
    got = machine.get()
    assert (got.source, machine.built) == (Source.DOWNLOAD, [])
    assert got.seconds > 0
    assert got.binary("tool").read_text().startswith("#!")
    assert [line.partition(",")[0] for line in machine.said] == [
        "tool v1.4.0: downloading from get.example",
        "tool v1.4.0: downloaded and checked",
    ]
    asked = len(machine.published.asked)
    again = machine.get()
    assert (again.source, again.seconds) == (Source.DOWNLOAD, 0)
    assert again.identity == got.identity
    assert len(machine.published.asked) == asked
    record = json.loads(
        (got.binary("tool").parent.parent / "download.json").read_text()
    )
    assert record["version"] == "v1.4.0"
    assert set(record["sha256"]) == {
        f"https://get.example/v1.4.0/{name}" for name in ("tool", "helper")
    }


def test_they_are_built_where_the_publisher_does_not_answer(machine: Machine) -> None:
    with publishers.serve() as gone:
        pass
    machine.published.address = gone.address
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(downloads.MIRROR_VARIABLE, gone.address)
        got = machine.get()
    assert (got.source, machine.built) == (Source.BUILD, ["tool"])
    (asking, building) = machine.said
    assert asking == "tool v1.4.0: downloading from get.example"
    assert building.startswith("tool v1.4.0: get.example does not answer (")
    assert building.endswith("); building from its Go module")


def test_a_silent_host_is_not_asked_again_for_a_while(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 0.2)
    machine.publish()
    machine.published.silent.add("get.example/v1.4.0/tool.sha256")
    assert machine.get().source is Source.BUILD
    shutil.rmtree(paths.cache() / "binaries")
    machine.published.silent.clear()
    asked = len(machine.published.asked)
    assert machine.get().source is Source.BUILD
    assert len(machine.published.asked) == asked
    shutil.rmtree(paths.cache() / "binaries")
    memory = programs._memory()
    held = json.loads(memory.read_text())
    held["get.example"]["at"] -= programs.ASK_AGAIN_SECONDS + 1
    memory.write_text(json.dumps(held))
    assert machine.get().source is Source.DOWNLOAD


def test_a_wrong_checksum_is_reported_and_the_build_is_taken(machine: Machine) -> None:
    machine.publish()
    machine.published.files["get.example/v1.4.0/helper"] += b"!"
    got = machine.get()
    assert got.binary("helper").read_bytes() == BUILT
    assert "but its publisher lists" in machine.said[-1]
    assert machine.said[-1].endswith("it was not used; building from its Go module")
    left = [path for path in (paths.cache() / "downloads").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["lock"]


def test_what_was_built_before_stays(machine: Machine) -> None:
    assert machine.get().source is Source.BUILD  # nothing is published yet
    machine.publish()
    asked = len(machine.published.asked)
    assert machine.get().source is Source.BUILD
    assert len(machine.published.asked) == asked


def test_the_user_chooses_the_build(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.publish()
    machine.put_on_path("v1.4.0", "tool", "helper")
    monkeypatch.setenv(programs.VARIABLE, "build")
    assert machine.get().source is Source.BUILD
    assert machine.published.asked == []


def test_the_user_chooses_the_download(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.put_on_path("v1.4.0", "tool", "helper")
    monkeypatch.setenv(programs.VARIABLE, "download")
    with pytest.raises(BuildError) as error:
        machine.get()
    assert str(error.value) == (
        "tool v1.4.0 could not be downloaded: https://get.example/v1.4.0/tool.sha256 "
        "answers 404. Without SLIPWAY_PROGRAMS=download it is built from its Go module"
    )
    assert machine.built == []
    machine.publish()
    assert machine.get().source is Source.DOWNLOAD


def test_what_no_publisher_offers_is_built_in_any_case(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(programs.VARIABLE, "download")
    assert machine.get("own").source is Source.BUILD
    assert machine.said == ["own v0.0.0: building from its Go module"]


def test_an_unknown_choice_is_an_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(programs.VARIABLE, "fetch")
    with pytest.raises(BuildError, match=r"'fetch'; it takes auto, download, build"):
        machine.get()


def test_a_build_that_fails_says_all_that_was_tried(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise BuildError("go is not on PATH")

    monkeypatch.setattr(builds, "build_all", fails)
    with pytest.raises(BuildError) as error:
        machine.get()
    assert str(error.value) == (
        "https://get.example/v1.4.0/tool.sha256 answers 404; and go is not on PATH"
    )


def test_several_groups_come_from_several_sources(machine: Machine) -> None:
    machine.publish()
    got = programs.get_all(["own", "tool"], machine.said.append)
    assert {name: one.source for name, one in got.items()} == {
        "tool": Source.DOWNLOAD,
        "own": Source.BUILD,
    }


def test_the_command_shows_where_each_comes_from(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.publish()
    assert programs.main(["tool", "own"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "tool v1.4.0: download, 0 s" in shown
    assert "own v0.0.0: build, 1 s" in shown
    assert programs.main(["tool"]) == 0
    assert capsys.readouterr().out == "tool v1.4.0: download, there already\n"


def test_the_command_says_what_failed(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(programs.VARIABLE, "download")
    assert programs.main(["tool"]) == 1
    assert capsys.readouterr().err.startswith("error: tool v1.4.0 could not be down")


@pytest.mark.programs
def test_a_program_built_without_c_is_static(tmp_path: Path) -> None:
    assert elf.is_static(programs.get("pause").binary("pause"))
    assert not elf.is_static(Path("/usr/bin/env").resolve())
    text = tmp_path / "script"
    text.write_text("#!/bin/sh\n")
    assert not elf.is_static(text)
