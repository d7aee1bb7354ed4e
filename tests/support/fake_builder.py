"""Plays docker, podman, buildah or kind: fake_builders.py puts it on PATH.

Standard library only and few modules of it, because each call is a process:

    fake_builder.py FOLDER PROGRAM ARGUMENT...

It writes down how it was called, refuses options that the real program does not have,
and keeps images as names in a file. Its answers have the form of the real ones, which
were recorded on 2026-11-29 from Docker 28.2.2 (command), 20.10.24 and 26.1.5 (engines),
Podman 4.3.1 and buildah 1.28.2.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BUILD = "--build-arg= --secret= --file= --tag= --quiet"
OPTIONS = {
    # https://docs.docker.com/reference/cli/docker/
    "docker": {
        "build": BUILD,
        "buildx version": "",
        "image ls": "--all --digests --format= --no-trunc --quiet",
        "info": "--format=",
        "pull": "--quiet",
        "push": "--quiet",
        "run": "--rm --user=",
        "save": "--output=",
        "tag": "",
        "version": "--format=",
    },
    # https://docs.podman.io/en/v4.3/Commands.html
    "podman": {
        "build": f"{BUILD} --layers --timestamp= --iidfile= --pull=",
        "image ls": "--all --digests --format= --no-trunc --quiet",
        "info": "--format=",
        "pull": "--quiet",
        "push": "--quiet --tls-verify= --digestfile=",
        "run": "--rm --user=",
        "save": "--quiet --format= --output=",
    },
    # https://github.com/containers/buildah/tree/v1.28.2/docs
    "buildah": {
        "build": f"{BUILD} --layers --timestamp= --iidfile= --pull-never",
        "from": "--pull-never --quiet",
        "pull": "--quiet",
        "push": "--quiet --tls-verify= --digestfile=",
        "rm": "",
        "run": "--user=",
        "version": "",
    },
    # https://kind.sigs.k8s.io/docs/user/quick-start/
    "kind": {"get clusters": "", "load image-archive": "--name="},
}
"""Options by program and command; those that end with = take a value."""


def main(folder: str, name: str, arguments: Sequence[str]) -> int:
    """Plays the program; returns its exit status.

    Facts: `down` (no daemon), `buildx` (false: no plugin), `architecture`, `version`,
    `system`, `digest` (false: a push does not print it), `fails` (a command that
    does), `clusters`, `printed` (what a container prints).
    """
    with (Path(folder) / f"{name}.calls").open("a") as calls:
        calls.write(json.dumps(list(arguments)) + "\n")
    file = Path(folder) / f"{name}.facts"
    facts = json.loads(file.read_text()) if file.is_file() else {}
    words = list(arguments)
    while words and words[0].startswith("--"):
        words.pop(0)  # where buildah's storage is
    verb, options, rest = _parsed(name, words)
    if verb == facts.get("fails"):
        print("STEP 1/1: RUN false\nwhat went wrong", file=sys.stderr)
        return 1
    play = _Play(Path(folder), name, facts, options, rest)
    method = {"from": "start"}.get(verb, verb.replace(" ", "_").replace("-", "_"))
    return int(getattr(play, method)() or 0)


def _parsed(name: str, words: list[str]) -> tuple[str, dict[str, list[str]], list[str]]:
    """Command, options and the rest; exits as the real one for an unknown option."""
    for size in (2, 1):
        if (verb := " ".join(words[:size])) in OPTIONS[name]:
            words = words[size:]
            break
    else:
        sys.exit(f"{name}: '{' '.join(words)}' is not a command")
    known = OPTIONS[name][verb].split()
    options: dict[str, list[str]] = {}
    while words and words[0].startswith("--"):
        option, _, value = words.pop(0).partition("=")
        if option == "--":
            break
        if f"{option}=" in known:
            options.setdefault(option, []).append(value or words.pop(0))
        elif option not in known or value:
            sys.exit(f"unknown flag: {option}")
    return verb, options, words


class _Play:
    """One call; a method for each command."""

    def __init__(
        self,
        folder: Path,
        name: str,
        facts: dict[str, Any],
        options: dict[str, list[str]],
        rest: list[str],
    ) -> None:
        self.file = folder / f"{name}.images"
        self.archive = folder / "archive.tar"
        self.name, self.facts = name, facts
        self.options, self.rest = options, rest

    @property
    def images(self) -> list[str]:
        return self.file.read_text().split() if self.file.is_file() else []

    def _add(self, image: str) -> None:
        self.file.write_text("\n".join([*self.images, image]))

    def _require(self, image: str) -> None:
        if image not in self.images:
            sys.exit(f"No such image: {image}")

    # what it is

    def info(self) -> int:
        machine = self.facts.get("architecture", "x86_64")
        if self.name == "podman":
            about = {"host": {"arch": machine}, "version": {"Version": "4.3.1"}}
            print(json.dumps(about))
            return 0
        down = self.facts.get("down", False)
        found = {
            "ServerVersion": "" if down else self.facts.get("version", "28.2.2"),
            "OSType": "" if down else self.facts.get("system", "linux"),
            "Architecture": "" if down else machine,
            "ClientInfo": {"Context": "desktop-linux"},
        }
        print(json.dumps(found))
        if down:
            print("Cannot connect to the Docker daemon at unix:///x", file=sys.stderr)
        return int(down)

    def version(self) -> None:
        if self.name == "docker":
            print(self.facts.get("version", "28.2.2"))
        else:
            print("Version:         1.28.2\nGo Version:      go1.19.8")

    def buildx_version(self) -> int:
        if self.facts.get("buildx", True):
            print("github.com/docker/buildx v0.24.0")
            return 0
        print("docker: unknown command: docker buildx", file=sys.stderr)
        return 1

    # images

    def image_ls(self) -> None:
        prefix = "sha256:" if self.name == "podman" else ""
        print("\n".join(f"{prefix}{image}" for image in self.images))

    def build(self) -> None:
        (context,) = self.rest
        (file,) = self.options["--file"]
        assert Path(file).parent == Path(context)
        arguments = dict(o.split("=", 1) for o in self.options["--build-arg"])
        for secret in self.options.get("--secret", []):
            assert Path(secret.partition("src=")[2]).is_file()
        if "BASE" in arguments:
            self._require(arguments["BASE"])
        identity = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        if "--iidfile" in self.options:
            Path(self.options["--iidfile"][0]).write_text(f"sha256:{identity}")
            print(f"STEP 1/1: FROM {arguments.get('BASE', 'scratch')}")
            self._add(identity)
        else:
            assert os.environ["DOCKER_BUILDKIT"] == "1"
            assert os.environ["BUILDX_BUILDER"] == "desktop-linux"
            print(f"#1 [1/1] FROM {arguments.get('BASE', 'scratch')}")
            self._add(self.options["--tag"][0])

    def pull(self) -> None:
        (reference,) = self.rest
        identity = hashlib.sha256(reference.encode()).hexdigest()
        self._add(reference if self.name == "docker" else identity)
        print(reference if self.name == "docker" else identity)

    def tag(self) -> None:
        source, target = self.rest
        self._require(source)
        self._add(target)

    def push(self) -> None:
        image, target = self.rest[0], self.rest[-1]
        self._require(image)
        if target.startswith("docker-archive:"):
            self._write_archive(Path(target.removeprefix("docker-archive:")))
            return
        name = target.removeprefix("docker://").encode()
        digest = f"sha256:{hashlib.sha256(name).hexdigest()}"
        if "--digestfile" in self.options:
            Path(self.options["--digestfile"][0]).write_text(digest)
            return
        repository, _, tag = target.rpartition(":")
        print(f"The push refers to repository [{repository}]\n0123456789ab: Pushed")
        if self.facts.get("digest", True):
            print(f"{tag}: digest: {digest} size: 739")

    def save(self) -> None:
        self._require(self.rest[0])
        self._write_archive(Path(self.options["--output"][0]))

    def _write_archive(self, file: Path) -> None:
        file.write_bytes(self.archive.read_bytes())

    # containers

    def run(self) -> None:
        sys.stdout.buffer.write(bytes.fromhex(self.facts.get("printed", "")))

    def start(self) -> None:
        """`buildah from`, whose name is a word of Python's own."""
        print("working-container")

    def rm(self) -> None:
        pass

    def get_clusters(self) -> None:
        print("\n".join(self.facts.get("clusters", [])))

    def load_image_archive(self) -> None:
        (self.file.parent / "loaded.tar").write_bytes(Path(self.rest[0]).read_bytes())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
