"""Runs buildah with a storage of our own in the cache folder and chroot isolation.

Each call has its own mount namespace, so that whatever buildah mounts is gone with it.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.images.builders import running, secrets
from slipway.images.builders.builder import ARCHITECTURES, About, Order, Say
from toolchain import paths


@dataclass(frozen=True)
class Buildah:
    """buildah: needs no daemon, and builds where no container can be run."""

    name: str = "buildah"

    @property
    def home(self) -> Path:
        """Storage, contexts and records of builds."""
        return paths.cache() / "buildah"

    def about(self) -> About:
        words = running.output(["buildah", "version"], "buildah").split()
        machine = platform.machine()
        return About(words[1], ARCHITECTURES.get(machine, machine))

    def held(self) -> frozenset[str]:
        """Reads the disk and starts no program."""
        folder = self.home / "root" / f"{_driver()}-images"
        return frozenset(path.name for path in folder.glob("*") if path.is_dir())

    def build(self, order: Order, say: Say) -> str:
        with tempfile.TemporaryDirectory(prefix="slipway-build-") as folder:
            identity = Path(folder) / "id"
            command = ["build", "--layers", "--timestamp", "0", "--pull-never"]
            command += ["--iidfile", str(identity)]
            with secrets.pip_secrets(order.containerfile) as given:
                command += [*order.options(), *given, str(order.context)]
                self._run(command, order.name, say)
            return identity.read_text().strip().removeprefix("sha256:")

    def pull(self, reference: str, key: str, timeout_seconds: float) -> str:
        del key  # an id is enough
        command = self._command(["pull", "--quiet", reference])
        said = running.output(command, "base", timeout_seconds, self._environment())
        return said.split()[-1]

    def push(self, image_id: str, target: str, *, plain_http: bool) -> str:
        with tempfile.TemporaryDirectory(prefix="slipway-push-") as folder:
            digest = Path(folder) / "digest"
            command = push_command(image_id, target, digest, plain_http=plain_http)
            self._run(command, target)
            return digest.read_text().strip()

    def save(self, image_id: str, file: Path, tag: str = "") -> None:
        """Writes an image as a docker-archive, perhaps with a tag."""
        target = f"docker-archive:{file}" + (f":{tag}" if tag else "")
        self._run(["push", "--quiet", image_id, target], tag or image_id)

    def output(self, image_id: str, command: Sequence[str], target: Path) -> None:
        start = self._command(["from", "--pull-never", image_id])
        container = running.output(start, "base", None, self._environment()).split()[-1]
        try:
            run = self._command(["run", "--user", "0:0", container, "--", *command])
            running.output_to_file(run, "base", target, self._environment())
        finally:
            self._run(["rm", container], "base")

    def _command(self, arguments: Sequence[str]) -> list[str]:
        isolated = ["unshare", "--mount"] if os.geteuid() == 0 else []
        return [
            *isolated,
            "buildah",
            *(f"--root={self.home / 'root'}", f"--runroot={self.home / 'run'}"),
            f"--storage-driver={_driver()}",
            *arguments,
        ]

    def _environment(self) -> Mapping[str, str]:
        scratch = self.home / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        return {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(scratch)}

    def _run(
        self, arguments: Sequence[str], what: str, say: Say = running.ignore
    ) -> None:
        running.run(self._command(arguments), what, say, self._environment())


def _driver() -> str:
    return os.environ.get("STORAGE_DRIVER", "overlay")


def push_command(
    image_id: str, target: str, digest: Path, *, plain_http: bool
) -> list[str]:
    """The push that Podman and buildah share; the digest goes to a file."""
    verify = "false" if plain_http else "true"
    return [
        *("push", "--quiet", f"--tls-verify={verify}", "--digestfile", str(digest)),
        *(image_id, f"docker://{target}"),
    ]
