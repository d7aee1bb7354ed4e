"""Finds Pulumi's CLI and its Kubernetes provider, or gets them.

The CLI comes from PATH if its version suits this SDK, else from Pulumi's own installer
if that answers soon, else it is built from its published Go module (`lab.builds`); the
provider likewise. What was decided is remembered in the cache folder, so that a machine
without a way to the installer does not ask for it at each run.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pulumi.automation import PulumiCommand
from semver import VersionInfo

from lab import builds, paths

INSTALLER_ANSWER_SECONDS = 10
"""How long Pulumi's installer has to answer before the CLI is built instead."""
DOWNLOAD_SECONDS = 300
ASK_AGAIN_SECONDS = 7 * 24 * 3600
"""How long a refusal of the installer is remembered."""

BUILD_GROUPS = {"pulumi": "pulumi", "kubernetes": "pulumi-kubernetes"}

# The timeout is that of a socket, so it is the wait for an answer that is short: the
# download of the CLI itself, some 100 MB, is bounded by DOWNLOAD_SECONDS.
_INSTALL = """
import socket, sys
socket.setdefaulttimeout(float(sys.argv[1]))
from pulumi.automation import PulumiCommand
print(PulumiCommand.install(root=sys.argv[2]).command)
"""

Say = Callable[[str], None]


class ToolchainError(Exception):
    """The engine could not be found nor got; the text says what was tried."""


@dataclass(frozen=True)
class Toolchain:
    """A CLI that works with this SDK, and the folder of its plugins."""

    command: PulumiCommand
    source: str
    """`PATH`, `installer` or `built`."""
    home: Path
    """PULUMI_HOME: plugins and log-ins."""

    @property
    def version(self) -> str:
        return str(self.command.version)

    @property
    def environment(self) -> dict[str, str]:
        """What each run of the CLI needs in its environment."""
        offline = self.source == "built"
        return {
            "PULUMI_HOME": str(self.home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # A machine that could not reach the installer reaches no plugins either:
            # without these, each run would wait for an answer that does not come.
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
        """Standard output of the CLI; ToolchainError with its error text."""
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
            raise ToolchainError(
                f"pulumi {' '.join(arguments)} ended with {done.returncode}: "
                f"{done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout


def sdk_version() -> VersionInfo:
    """Version of the Python SDK; the CLI's must go with it."""
    return VersionInfo.parse(metadata.version("pulumi"))


def suits(version: VersionInfo | None, sdk: VersionInfo) -> bool:
    """Whether a CLI of that version speaks this SDK's protocol: not older than it."""
    return (
        version is not None
        and version.major == sdk.major
        and (version.minor, version.patch) >= (sdk.minor, 0)
    )


def home() -> Path:
    """PULUMI_HOME as set by the user, else a folder of ours in the cache."""
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


def _memory() -> Path:
    return paths.cache() / "toolchain.json"


def _recall() -> dict[str, Any]:
    try:
        content = json.loads(_memory().read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return content if content.get("sdk") == str(sdk_version()) else {}


def _remember(**facts: Any) -> None:
    content = {**_recall(), **facts, "sdk": str(sdk_version())}
    _memory().parent.mkdir(parents=True, exist_ok=True)
    new = _memory().with_suffix(".new")
    new.write_text(json.dumps(content))
    new.replace(_memory())


def _command(root: Path | None) -> PulumiCommand | None:
    """The CLI below `root`, or on PATH; None if there is none that suits."""
    try:
        command = PulumiCommand(root=str(root) if root else None)
    except Exception:  # noqa: BLE001 not there, not executable, not a version
        return None
    return command if suits(command.version, sdk_version()) else None


def _from_path() -> PulumiCommand | None:
    if shutil.which("pulumi") is None:
        return None
    command = _command(None)
    if command is not None:
        command.command = shutil.which("pulumi") or command.command
    return command


def _installed_root() -> Path:
    return paths.cache() / "pulumi" / str(sdk_version())


def _from_installer(say: Say) -> PulumiCommand | None:
    root = _installed_root()
    if (root / "bin" / "pulumi").is_file():
        return _command(root)
    if time.time() - float(_recall().get("refused", 0)) < ASK_AGAIN_SECONDS:
        return None
    say(f"Asking Pulumi's installer (at most {INSTALLER_ANSWER_SECONDS} s) ...")
    arguments = [str(INSTALLER_ANSWER_SECONDS), str(root)]
    try:
        subprocess.run(
            [sys.executable, "-c", _INSTALL, *arguments],
            check=True,
            capture_output=True,
            timeout=DOWNLOAD_SECONDS,
        )
    except (subprocess.SubprocessError, OSError):
        shutil.rmtree(root, ignore_errors=True)
        _remember(refused=time.time())
        return None
    return _command(root)


def _built(name: str, report: builds.Report, tried: str) -> Path:
    """Path of the built program's only binary."""
    group = builds.group(BUILD_GROUPS[name])
    try:
        builds.build_all([group.name], report)
    except builds.BuildError as error:
        raise ToolchainError(f"{tried}, and it could not be built: {error}") from None
    return group.binary(group.binaries[0])


def _ignore(*_: Any) -> None:
    """Reports nothing."""


def find(say: Say = _ignore, report: builds.Report = _ignore) -> Toolchain:
    """The CLI to use; builds it if need be, telling `report` how far it is."""
    # A built one was decided on before; nothing is asked again while it stands.
    if command := _from_path():
        return Toolchain(command, "PATH", home())
    group = builds.group(BUILD_GROUPS["pulumi"])
    if not _is_built(group) and (command := _from_installer(say)):
        return Toolchain(command, "installer", home())
    if not _is_built(group):
        say("Building Pulumi's CLI from its Go module; minutes, once per machine ...")
    binary = _built(
        "pulumi",
        report,
        f"no pulumi {sdk_version().major}.{sdk_version().minor} or newer is on PATH, "
        "Pulumi's installer did not answer",
    )
    command = _command(binary.parent.parent)
    if command is None:
        raise ToolchainError(
            f"{binary} does not run, or is not version {sdk_version()} as pinned in "
            f"{group.source}/go.mod; delete {group.folder} and run again"
        )
    return Toolchain(command, "built", home())


def _is_built(group: builds.Group) -> bool:
    try:
        return group.is_built
    except builds.BuildError:  # no Go: then there is no key to look under
        return False


def provider_version() -> str:
    """Version of the Kubernetes provider that the Python package asks for."""
    return metadata.version("pulumi-kubernetes")


def plugin(toolchain: Toolchain) -> Path:
    """Where the Kubernetes provider lies when it is installed."""
    folder = f"resource-kubernetes-v{provider_version()}"
    return toolchain.home / "plugins" / folder / "pulumi-resource-kubernetes"


def ensure_kubernetes(
    toolchain: Toolchain, say: Say = _ignore, report: builds.Report = _ignore
) -> None:
    """Installs the Kubernetes provider into PULUMI_HOME unless it is there."""
    if plugin(toolchain).is_file():
        return
    version = provider_version()
    install = ["plugin", "install", "resource", "kubernetes", version]
    toolchain.home.mkdir(parents=True, exist_ok=True)
    if toolchain.source != "built":
        say(f"Downloading the Kubernetes provider {version} ...")
        try:
            toolchain.run(*install, timeout=DOWNLOAD_SECONDS)
        except (ToolchainError, subprocess.TimeoutExpired):
            say("It could not be downloaded.")
        if plugin(toolchain).is_file():
            return
    group = builds.group(BUILD_GROUPS["kubernetes"])
    if not _is_built(group):
        say(f"Building the Kubernetes provider {version}; minutes, once ...")
    tried = f"the Kubernetes provider {version} could not be downloaded"
    binary = _built("kubernetes", report, tried)
    toolchain.run(*install, "--file", str(binary), "--reinstall")
    if not plugin(toolchain).is_file():
        raise ToolchainError(
            f"pulumi {' '.join(install)} --file {binary} left no {plugin(toolchain)}: "
            f"is the provider built for {platform.machine()}?"
        )


def versions() -> dict[str, str]:
    """Versions by name; nothing is downloaded or built to find them."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
    group = builds.group(BUILD_GROUPS["pulumi"])
    found = "none yet: the first use gets it"
    if command := _from_path():
        found = f"{command.version} from PATH ({command.command})"
    elif _is_built(group) or (_installed_root() / "bin" / "pulumi").is_file():
        toolchain = find()
        source = toolchain.source
        found = f"{toolchain.version}, {source} ({toolchain.command.command})"
    return {
        "slipway": project["version"],
        "python": platform.python_version(),
        "pulumi SDK": str(sdk_version()),
        "pulumi CLI": found,
        "kubernetes provider": provider_version(),
    }
