"""Runs Podman with the user's own storage, so that `podman image ls` shows the images.

Tested with Podman 4.3.1 (docs/how-to/images.md#what-has-been-tested).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.images.builders import buildah, running, secrets
from slipway.images.builders.builder import ARCHITECTURES, About, Order, Say
from toolchain import paths


@dataclass(frozen=True)
class Podman:
    """Podman, rootless or not; on macOS by way of its virtual machine."""

    name: str = "podman"

    @property
    def home(self) -> Path:
        return paths.cache() / "podman"

    def about(self) -> About:
        said = running.output(["podman", "info", "--format", "json"], "podman")
        found = json.loads(said)
        machine = found["host"]["arch"]
        return About(found["version"]["Version"], ARCHITECTURES.get(machine, machine))

    def held(self) -> frozenset[str]:
        command = ["podman", "image", "ls", "--all", "--no-trunc", "--quiet"]
        ids = running.output(command, "podman").split()
        return frozenset(one.removeprefix("sha256:") for one in ids)

    def build(self, order: Order, say: Say) -> str:
        with tempfile.TemporaryDirectory(prefix="slipway-build-") as folder:
            identity = Path(folder) / "id"
            command = ["podman", "build", "--layers", "--timestamp", "0"]
            command += ["--pull=never", "--iidfile", str(identity)]
            # `podman image prune` deletes what has no name.
            command += ["--tag", f"localhost/slipway/{order.name}:{order.key[:16]}"]
            with secrets.pip_secrets(order.containerfile) as given:
                command += [*order.options(), *given, str(order.context)]
                running.run(command, order.name, say)
            return identity.read_text().strip().removeprefix("sha256:")

    def pull(self, reference: str, key: str, timeout_seconds: float) -> str:
        del key  # an id is enough
        command = ["podman", "pull", "--quiet", reference]
        return running.output(command, "base", timeout_seconds).split()[-1]

    def push(self, image_id: str, target: str, *, plain_http: bool) -> str:
        with tempfile.TemporaryDirectory(prefix="slipway-push-") as folder:
            digest = Path(folder) / "digest"
            push = buildah.push_command(image_id, target, digest, plain_http=plain_http)
            running.run(["podman", *push], target)
            return digest.read_text().strip()

    def save(self, image_id: str, file: Path) -> None:
        command = ["podman", "save", "--quiet", "--format", "docker-archive"]
        running.run([*command, "--output", str(file), image_id], image_id)

    def output(self, image_id: str, command: Sequence[str], target: Path) -> None:
        run = ["podman", "run", "--rm", "--user", "0:0", image_id, *command]
        running.output_to_file(run, "base", target)
