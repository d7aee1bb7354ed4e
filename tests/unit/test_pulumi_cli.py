"""Which CLI and provider are taken, and what a run of the CLI needs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from semver import VersionInfo

from slipway.engine import pulumi_cli
from toolchain import builds, programs
from toolchain.programs import Programs, Source

SDK = pulumi_cli.sdk_version()


def program(path: Path, version: str) -> Path:
    """A `pulumi` that only knows its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho v{version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the CLI stand in a version, from a source."""
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")

    def stand(source: Source, version: str = str(SDK)) -> Path:
        binary = program(tmp_path / "bin" / "pulumi", version)
        found = Programs(builds.group("pulumi"), source, {"pulumi": binary}, "x")
        monkeypatch.setattr(programs, "get", lambda *_: found)
        return binary

    return stand


@pytest.mark.parametrize("source", Source)
def test_the_cli_is_taken_from_where_it_stands(stands: Any, source: Source) -> None:
    binary = stands(source, f"{SDK.major}.{SDK.minor + 40}.0")
    found = pulumi_cli.find()
    assert (found.source, found.command.command) == (source, str(binary))
    assert found.version == f"{SDK.major}.{SDK.minor + 40}.0"
    offline = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" in found.environment
    assert offline is (source is Source.BUILD)


def test_a_cli_that_is_too_old_is_an_error(stands: Any) -> None:
    binary = stands(Source.BUILD, f"{SDK.major}.{SDK.minor - 1}.9")
    with pytest.raises(pulumi_cli.PulumiCliError) as error:
        pulumi_cli.find()
    assert str(error.value) == (
        f"{binary} is version {SDK.major}.{SDK.minor - 1}.9, but the Python SDK needs "
        f"{SDK}: requirements.txt and toolchain/binaries/pulumi/go.mod must agree"
    )


def test_a_cli_that_does_not_run_is_an_error(stands: Any) -> None:
    binary = stands(Source.DOWNLOAD)
    binary.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(pulumi_cli.PulumiCliError, match="does not run"):
        pulumi_cli.find()


def test_what_could_not_be_got_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise builds.BuildError("get.pulumi.com does not answer; and no Go")

    monkeypatch.setattr(programs, "get", fails)
    with pytest.raises(pulumi_cli.PulumiCliError, match="does not answer; and no Go"):
        pulumi_cli.find()


def test_the_pins_of_the_cli_and_of_the_sdk_agree() -> None:
    group = builds.group("pulumi")
    assert group.version() == f"v{SDK}"
    provider = builds.group("pulumi-kubernetes")
    assert provider.version() == f"v{pulumi_cli.provider_version()}"


def test_the_users_pulumi_home_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", "/elsewhere")
    assert pulumi_cli.home() == Path("/elsewhere")


def test_a_provider_that_is_there_is_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command: Any = SimpleNamespace(command="/nonexistent", version=VersionInfo(3, 1))
    found = pulumi_cli.PulumiCli(command, Source.BUILD, tmp_path)
    plugin = pulumi_cli.plugin(found)
    assert plugin.parent.name == f"resource-kubernetes-v{pulumi_cli.provider_version()}"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    monkeypatch.setattr(pulumi_cli.PulumiCli, "run", None)  # a call would fail
    pulumi_cli.ensure_kubernetes(found)
