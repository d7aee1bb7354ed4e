"""Runs buildah with a storage of our own in the cache folder and chroot isolation.

Each call has its own mount namespace, so that whatever buildah mounts is gone with it.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from slipway.images.errors import ImageError
from toolchain import paths

CA_BUNDLE = Path("/etc/ssl/certs")
LAST_LINES = 25
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
"""What a build needs to know of this machine's pip to reach the same index."""


def home() -> Path:
    """Storage, contexts and records of builds."""
    return paths.cache() / "buildah"


def _driver() -> str:
    return os.environ.get("STORAGE_DRIVER", "overlay")


def holds(image_id: str) -> bool:
    """True if the storage has the image; reads the disk, starts no program."""
    return (home() / "root" / f"{_driver()}-images" / image_id).is_dir()


def _command(arguments: list[str]) -> list[str]:
    if shutil.which("buildah") is None:
        raise ImageError(
            "buildah, which builds and pushes images, is not on PATH: apt-get install "
            "buildah"
        )
    isolated = ["unshare", "--mount"] if os.geteuid() == 0 else []
    return [
        *isolated,
        "buildah",
        *("--root", str(home() / "root"), "--runroot", str(home() / "run")),
        *("--storage-driver", _driver()),
        *arguments,
    ]


def run(
    arguments: list[str], what: str, say: Callable[[str], None] = lambda _: None
) -> None:
    """Runs one buildah command; `say` is told each step of a build.

    Raises ImageError with its last lines if it fails.
    """
    scratch = home() / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    lines: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        _command(arguments),
        env={**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith(("STEP ", "[")):
                say(re.sub(r"^.*STEP ", "step ", line.strip())[:100])
    if process.returncode:
        raise ImageError(
            f"{what}: buildah {arguments[0]} ended with {process.returncode}:\n"
            + "\n".join(lines)
        )


def build(
    context: Path,
    arguments: Mapping[str, str],
    what: str,
    say: Callable[[str], None],
) -> str:
    """Builds the Containerfile of a context folder; returns the image's id."""
    with tempfile.TemporaryDirectory(prefix="slipway-build-") as folder:
        identity = Path(folder) / "id"
        command = ["build", "--layers", "--timestamp", "0", "--pull-never"]
        command += ["--iidfile", str(identity)]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        containerfile = context / "Containerfile"
        if "id=pip.conf" in containerfile.read_text():
            settings = Path(folder) / "pip.conf"
            settings.touch(mode=0o600)
            settings.write_text(pip_configuration())
            command += ["--secret", f"id=pip.conf,src={settings}"]
            if CA_BUNDLE.is_dir():
                # A proxy that looks into TLS is trusted by the machine's own bundle.
                command += ["--volume", f"{CA_BUNDLE}:{CA_BUNDLE}:ro"]
        command += ["--file", str(containerfile), str(context)]
        run(command, what, say)
        return identity.read_text().strip().removeprefix("sha256:")


def pip_configuration() -> str:
    """A pip.conf with this machine's index, from its files and its environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in PIP_SETTINGS or (name == "cert" and str(CA_BUNDLE) in value):
            # The environment's lines come last and win, as they do in pip.
            found[name] = str(ast.literal_eval(value))
    settings = (
        f"{k} = {v.strip().replace(chr(10), chr(10) + '    ')}"
        for k, v in found.items()
    )
    return "\n".join(["[global]", *settings, ""])


def pull(reference: str, timeout_seconds: float) -> str:
    """Pulls a public image; its id, or "" if no registry gave it in time."""
    try:
        done = subprocess.run(
            _command(["pull", "--quiet", reference]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    return "" if done.returncode else done.stdout.strip().splitlines()[-1]
