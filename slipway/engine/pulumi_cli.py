"""Finds Pulumi's CLI and its Kubernetes provider, or gets them.

Both come from where `toolchain.programs` has them: the CLI from PATH if its version
suits this SDK, else from their publisher, else built from their Go modules.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pulumi.automation import PulumiCommand
from semver import VersionInfo

from toolchain import builds, paths, programs
from toolchain.errors import OperatorError
from toolchain.programs import Source

CLI = "pulumi"
PROVIDER = "pulumi-kubernetes"
"""Groups of toolchain/binaries."""

Say = Callable[[str], None]


class PulumiCliError(OperatorError):
    """The engine could neither be found nor installed; the text lists the attempts."""


@dataclass(frozen=True)
class PulumiCli:
    """A CLI that works with this SDK, and the folder of its plugins."""

    command: PulumiCommand
    source: Source
    home: Path
    """PULUMI_HOME: plugins and log-ins."""

    @property
    def version(self) -> str:
        return str(self.command.version)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables of each run of the CLI."""
        offline = self.source is Source.BUILD
        return {
            "PULUMI_HOME": str(self.home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # A machine that cannot reach the publisher cannot reach plugins either:
            # without these, each run would wait for a response that never comes.
            **(
                {
                    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                    "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
                }
                if offline
                else {}
            ),
        }

    def run(self, *arguments: str, timeout: float | None = None) -> str:
        """Return the standard output of the CLI; PulumiCliError with its error text."""
        environment = os.environ | self.environment
        done = subprocess.run(
            [self.command.command, "--non-interactive", *arguments],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode:
            raise PulumiCliError(
                f"pulumi {' '.join(arguments)} ended with {done.returncode}: "
                f"{done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout


def sdk_version() -> VersionInfo:
    """Return the version of the Python SDK, which the CLI's must match."""
    return VersionInfo.parse(metadata.version("pulumi"))


def home() -> Path:
    """Return the user's PULUMI_HOME, otherwise a folder in the cache."""
    given = os.environ.get("PULUMI_HOME")
    if given:
        return Path(given)
    own = paths.cache() / "pulumi-home"
    _without_logs(own)
    return own


def _without_logs(folder: Path) -> None:
    """Keeps the CLI from writing all it passes on into compressed, encrypted logs.

    It does so at every run, has no setting against it (3.259), and goes on without
    where it cannot make the folder. With the CRDs in the platform's stack the logs took
    25 of 31 seconds of processor time of a run that changed nothing, and 330 MB in two
    hours.
    """
    logs = folder / "logs"
    if logs.is_dir():
        shutil.rmtree(logs, ignore_errors=True)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        logs.touch()


def _ignore(*_: Any) -> None:
    """Report nothing."""


def _get(group: str, say: Say, report: builds.Report) -> programs.Programs:
    try:
        return programs.get(group, say, report)
    except builds.BuildError as error:
        raise PulumiCliError(str(error)) from None


@cache
def _command(binary: Path, _changed: int, *, on_path: bool) -> PulumiCommand:
    """Run a program for its version, once for as long as it stays the same."""
    # The class looks for bin/pulumi below a root, or for the one on PATH.
    command = PulumiCommand(root=None if on_path else str(binary.parent.parent))
    command.command = str(binary)
    return command


def _cli(found: programs.Programs) -> PulumiCli:
    binary = found.binary(CLI)
    try:
        on_path = found.source is Source.PATH
        command = _command(binary, binary.stat().st_mtime_ns, on_path=on_path)
    except Exception as error:
        raise PulumiCliError(
            f"{binary} does not run: {error}. Delete {binary.parent} and run again"
        ) from error
    sdk = sdk_version()
    if command.version is None or command.version.finalize_version() < sdk.replace(
        patch=0
    ):
        raise PulumiCliError(
            f"{binary} is version {command.version}, but the Python SDK needs {sdk}: "
            f"requirements.txt and toolchain/binaries/{CLI}/go.mod must agree"
        )
    return PulumiCli(command, found.source, home())


def find(say: Say = _ignore, report: builds.Report = _ignore) -> PulumiCli:
    """The CLI to use; obtained if necessary. `report` gets the progress of a build."""
    return _cli(_get(CLI, say, report))


def provider_version() -> str:
    """Version of the Kubernetes provider that the Python package asks for."""
    return metadata.version("pulumi-kubernetes")


def plugin(cli: PulumiCli) -> Path:
    """Return the path of the installed Kubernetes provider."""
    folder = f"resource-kubernetes-v{provider_version()}"
    return cli.home / "plugins" / folder / "pulumi-resource-kubernetes"


def ensure_kubernetes(
    cli: PulumiCli, say: Say = _ignore, report: builds.Report = _ignore
) -> None:
    """Install the Kubernetes provider into PULUMI_HOME if it is missing."""
    if plugin(cli).is_file():
        return
    group = builds.group(PROVIDER)
    binary = _get(PROVIDER, say, report).binary(group.binaries[0])
    install = ["plugin", "install", "resource", "kubernetes", provider_version()]
    cli.home.mkdir(parents=True, exist_ok=True)
    cli.run(*install, "--file", str(binary), "--reinstall")
    if not plugin(cli).is_file():
        raise PulumiCliError(
            f"pulumi {' '.join(install)} --file {binary} did not install "
            f"{plugin(cli)}: check that the provider is built for {platform.machine()}"
        )


def slipway_version() -> str:
    """The checkout's version, else that of the installed distribution."""
    file = paths.ROOT / "pyproject.toml"
    if not file.is_file():
        return metadata.version("slipway")
    version: str = tomllib.loads(file.read_text())["project"]["version"]
    return version


def versions() -> dict[str, str]:
    """Return versions by name, without a download or a build."""
    shown = "none yet: the first use gets it"
    if found := programs.find(CLI):
        cli = _cli(found)
        place = cli.command.command
        shown = f"{cli.version}, {found.source} ({place})"
    return {
        "slipway": slipway_version(),
        "python": platform.python_version(),
        "pulumi SDK": str(sdk_version()),
        "pulumi CLI": shown,
        "kubernetes provider": provider_version(),
    }
