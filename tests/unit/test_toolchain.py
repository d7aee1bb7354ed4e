"""Which CLI and provider are taken, in which order, and what is remembered."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from semver import VersionInfo

from lab import builds, paths
from slipway import toolchain

SDK = VersionInfo(3, 259, 0)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.259.0", True),
        ("3.259.7", True),
        ("3.272.0", True),
        ("3.258.9", False),
        ("2.300.0", False),
        ("4.0.0", False),
    ],
)
def test_a_cli_suits_from_the_sdks_minor_version_on(
    version: str, expected: bool
) -> None:
    assert toolchain.suits(VersionInfo.parse(version), SDK) is expected


def test_an_unreadable_version_does_not_suit() -> None:
    assert not toolchain.suits(None, SDK)


def program(path: Path, version: str) -> Path:
    """A `pulumi` that only knows its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho v{version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with empty caches, nothing on PATH, and an installer that is scripted.

    `installs` is what the installer installs (nothing: it does not answer), `asked`
    and `built` count.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    seen = SimpleNamespace(
        asked=0, built=[], installs="", bin=tmp_path / "bin", said=[]
    )
    real_run = subprocess.run

    def run(command: list[Any], **options: Any) -> Any:
        if toolchain._INSTALL not in command:
            return real_run(command, **options)
        seen.asked += 1
        if not seen.installs:
            raise subprocess.CalledProcessError(1, command)
        program(Path(command[-1]) / "bin" / "pulumi", seen.installs)
        return None

    folder = tmp_path / "built"

    def group(name: str) -> Any:
        return SimpleNamespace(
            name=name,
            source=folder,
            folder=folder,
            binaries=("pulumi",),
            is_built=(folder / "bin" / "pulumi").exists(),
            binary=lambda _: folder / "bin" / "pulumi",
        )

    def build_all(names: list[str], _: Any) -> dict[str, float]:
        seen.built += names
        program(folder / "bin" / "pulumi", str(toolchain.sdk_version()))
        return dict.fromkeys(names, 1.0)

    monkeypatch.setattr(toolchain.subprocess, "run", run)
    monkeypatch.setattr(builds, "group", group)
    monkeypatch.setattr(builds, "build_all", build_all)
    return seen


def find(machine: Any) -> toolchain.Toolchain:
    return toolchain.find(machine.said.append)


def test_the_one_on_path_is_taken_if_it_suits(machine: Any) -> None:
    program(machine.bin / "pulumi", "3.299.0")
    found = find(machine)
    assert (found.source, found.version) == ("PATH", "3.299.0")
    assert machine.asked == 0
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in found.environment


def test_the_installer_is_asked_if_the_one_on_path_is_too_old(machine: Any) -> None:
    program(machine.bin / "pulumi", "3.1.0")
    machine.installs = str(toolchain.sdk_version())
    assert find(machine).source == "installer"
    assert machine.built == []
    assert find(machine).source == "installer"
    assert machine.asked == 1, "it was downloaded twice"


def test_it_is_built_if_the_installer_does_not_answer(machine: Any) -> None:
    found = find(machine)
    assert found.source == "built"
    assert machine.built == ["pulumi"]
    assert found.environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert any("Building Pulumi's CLI" in line for line in machine.said)
    assert find(machine).source == "built"
    assert machine.asked == 1, "the installer was asked although a built one stands"


def test_a_refusal_of_the_installer_is_remembered_for_a_while(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "build_all", lambda *_: {})
    for _ in range(2):
        with pytest.raises(toolchain.ToolchainError):
            find(machine)
    assert machine.asked == 1
    memory = paths.cache() / "toolchain.json"
    content = json.loads(memory.read_text())
    content["refused"] = time.time() - toolchain.ASK_AGAIN_SECONDS - 1
    memory.write_text(json.dumps(content))
    with pytest.raises(toolchain.ToolchainError):
        find(machine)
    assert machine.asked == 2


def test_a_build_that_fails_says_all_that_was_tried(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise builds.BuildError("go is not on PATH")

    monkeypatch.setattr(builds, "build_all", fails)
    with pytest.raises(toolchain.ToolchainError) as error:
        find(machine)
    sdk = toolchain.sdk_version()
    assert str(error.value) == (
        f"no pulumi {sdk.major}.{sdk.minor} or newer is on PATH, Pulumi's installer "
        "did not answer, and it could not be built: go is not on PATH"
    )


def test_the_users_pulumi_home_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", "/elsewhere")
    assert toolchain.home() == Path("/elsewhere")


def test_a_provider_that_is_there_is_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command: Any = SimpleNamespace(command="/nonexistent", version=SDK)
    found = toolchain.Toolchain(command, "built", tmp_path)
    plugin = toolchain.plugin(found)
    assert plugin.parent.name == f"resource-kubernetes-v{toolchain.provider_version()}"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    monkeypatch.setattr(toolchain.Toolchain, "run", None)  # a call would fail
    toolchain.ensure_kubernetes(found)
