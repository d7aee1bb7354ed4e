"""Stand-ins for docker, podman, buildah and kind, and archives as they write them."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("fake_builder.py")


@dataclass(frozen=True)
class Fake:
    """A program that was installed."""

    folder: Path
    name: str

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        file = self.folder / f"{self.name}.calls"
        lines = file.read_text().splitlines() if file.is_file() else []
        return [json.loads(line) for line in lines]

    def called(self, verb: str) -> list[list[str]]:
        """The calls of one command, without options that hold the storage's place."""
        rests = [call[3:] if call[0][:2] == "--" else call for call in self.calls]
        return [rest for rest in rests if rest[: len(verb.split())] == verb.split()]

    def set(self, **facts: Any) -> None:
        """Changes how it behaves; see `main` of fake_builder.py."""
        file = self.folder / f"{self.name}.facts"
        held = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps(held | facts))


def install(
    folder: Path, patch: pytest.MonkeyPatch, *names: str, **facts: Any
) -> list[Fake]:
    """Makes the named programs the only builders on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        program = folder / name
        call = f'"{sys.executable}" -I -S "{PROGRAM}" "{folder}" {name} "$@"'
        program.write_text(f"#!/bin/sh\nexec {call}\n")
        program.chmod(0o755)
    (folder / "archive.tar").write_bytes(docker_archive({"layer.tar": b"content"}))
    # buildah is called by way of it.
    (folder / "unshare").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (folder / "unshare").chmod(0o755)
    patch.setenv("PATH", f"{folder}:/nonexistent")
    fakes = [Fake(folder, name) for name in names]
    for fake in fakes:
        fake.set(**facts)
    return fakes


def digest_of(target: str) -> str:
    """The digest that a push to host/path:tag gets."""
    return f"sha256:{hashlib.sha256(target.encode()).hexdigest()}"


def docker_archive(
    layers: Mapping[str, bytes], links: Mapping[str, str] | None = None
) -> bytes:
    """An archive as `docker save` writes it; `links`: layers that are equal to others.

    https://github.com/moby/docker-image-spec/blob/main/v1.2.md
    """
    config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    order = [*layers, *(links or {})]
    manifest = [{"Config": name, "RepoTags": None, "Layers": order}]
    content = {name: config, "manifest.json": json.dumps(manifest).encode(), **layers}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for path, held in content.items():
            member = tarfile.TarInfo(path)
            member.size = len(held)
            archive.addfile(member, io.BytesIO(held))
        for path, target in (links or {}).items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return file.getvalue()
