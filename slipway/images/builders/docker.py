"""Runs Docker's command: images are in the store of the daemon that it speaks to.

Only documented options of https://docs.docker.com/reference/cli/docker/ are used.
Docker itself was not run on all versions: docs/how-to/images.md#what-has-been-tested.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.images.builders import running, secrets
from slipway.images.builders.builder import (
    ARCHITECTURES,
    About,
    BuilderError,
    Order,
    Say,
)
from toolchain import paths

BUILDX_SINCE = 23
"""From this version of the command on, builds need the plugin buildx."""
_DIGEST = re.compile(r"\bdigest: (sha256:[0-9a-f]{64}) size: \d+")
"""What a push prints of each tag. The daemon's records name the digest too
(RepoDigests), but several where an image was pushed before, and Docker 28 pushes one
platform of an index under a digest that they do not have."""


@dataclass(frozen=True)
class Docker:
    """Docker Engine, Docker Desktop and what else has its API and its command.

    An image's id is a tag: BuildKit takes no image ids in FROM.
    """

    name: str = "docker"

    @property
    def home(self) -> Path:
        return paths.cache() / "docker"

    def about(self) -> About:
        found = _info()
        machine = found["Architecture"]
        if found["OSType"] != "linux":
            raise BuilderError(
                f"docker runs containers of {found['OSType']}, and the images are for "
                "Linux: switch Docker Desktop to Linux containers"
            )
        _require_buildkit()
        return About(found["ServerVersion"], ARCHITECTURES.get(machine, machine))

    def held(self) -> frozenset[str]:
        command = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
        return frozenset(running.output(command, "docker").split())

    def build(self, order: Order, say: Say) -> str:
        tag = _tag(order.name, order.key)
        command = ["docker", "build", "--tag", tag, *order.options()]
        with secrets.pip_secrets(order.containerfile) as given:
            command += [*given, str(order.context)]
            running.run(command, order.name, say, _build_environment())
        return tag

    def pull(self, reference: str, key: str, timeout_seconds: float) -> str:
        running.output(
            ["docker", "pull", "--quiet", reference], "base", timeout_seconds
        )
        tag = _tag("base", key)
        running.output(["docker", "tag", reference, tag], "base")
        return tag

    def push(self, image_id: str, target: str, *, plain_http: bool) -> str:
        del plain_http  # Docker's daemon decides: loopback, and its insecure-registries
        running.output(["docker", "tag", image_id, target], target)
        said = running.run(["docker", "push", target], target)
        digests = _DIGEST.findall(said)
        if not digests:
            raise BuilderError(
                f"{target}: docker push named no digest, so the image cannot be put "
                f"into images.lock; it said:\n{said}"
            )
        digest: str = digests[-1]
        return digest

    def save(self, image_id: str, file: Path) -> None:
        command = ["docker", "save", "--output", str(file), image_id]
        running.output(command, image_id)

    def output(self, image_id: str, command: Sequence[str], target: Path) -> None:
        run = ["docker", "run", "--rm", "--user", "0:0", image_id, *command]
        running.output_to_file(run, "base", target)


def _tag(name: str, key: str) -> str:
    return f"slipway/{name}:{key[:16]}"


def _info() -> dict[str, Any]:
    """Return the daemon's information, with the command's own (`ClientInfo`)."""
    said = running.output(["docker", "info", "--format", "{{json .}}"], "docker")
    found: dict[str, Any] = json.loads(said)
    if not found.get("ServerVersion"):
        errors = "; ".join(found.get("ServerErrors") or ["no daemon answers"])
        raise BuilderError(f"docker: {errors}")
    return found


def _require_buildkit() -> None:
    """BuilderError if this version of the command builds by a plugin that it lacks."""
    command = ["docker", "version", "--format", "{{.Client.Version}}"]
    client = running.output(command, "docker").strip()
    if int(client.partition(".")[0]) < BUILDX_SINCE:
        return
    try:
        running.output(["docker", "buildx", "version"], "docker")
    except BuilderError:
        raise BuilderError(
            f"docker {client} has no buildx, which builds images: install the package "
            "docker-buildx-plugin (Docker's own) or docker-buildx (Debian's)"
        ) from None


def _build_environment() -> Mapping[str, str]:
    return {
        # Up to 22 the command's own default is the older way of building, without
        # secrets.
        "DOCKER_BUILDKIT": "1",
        "BUILDKIT_PROGRESS": "plain",
        # The daemon's own BuildKit, whatever `docker buildx use` chose: others do not
        # see the daemon's images and leave theirs elsewhere. It has the context's name.
        "BUILDX_BUILDER": _info()["ClientInfo"].get("Context") or "default",
        # One manifest instead of an index with a description of the build.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
