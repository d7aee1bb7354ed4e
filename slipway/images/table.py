"""The table of images in images/images.toml, parsed once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from slipway.images.errors import ImageError
from slipway.images.inputs import Input, Model, parse
from toolchain import paths

FOLDER = paths.ROOT / "images"
TABLE = FOLDER / "images.toml"
CONTAINERFILE = "Containerfile"
BASE = "base"
PREFIX = "slipway"
"""Repository prefix of every image: slipway/pause, slipway/envoy, ..."""


@dataclass(frozen=True)
class Image:
    """One image: its folder, the image it starts from and what is put beside it."""

    name: str
    version: str
    base: str
    """Name of the image it starts from; empty: from nothing."""
    tag: str
    inputs: Mapping[str, Input]
    folder: Path
    """Containerfile and the program that runs in the image."""
    on_demand: bool = False
    """Whether it is built only if it is named: it takes long and few need it."""
    lab: bool = False
    """Whether only the lab, Compose and examples use it: a push to another registry
    omits it unless it is named."""

    @property
    def repository(self) -> str:
        return f"{PREFIX}/{self.name}"

    def files(self) -> dict[str, Path]:
        """The folder's own files that the build sees, by their path in it."""
        if any(isinstance(source, Model) for source in self.inputs.values()):
            # Training packages are not in the image.
            return {CONTAINERFILE: self.folder / CONTAINERFILE}
        found = {
            str(path.relative_to(self.folder)): path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }
        return {name: path for name, path in found.items() if _counts(name)}

    def label_version(self) -> str:
        """The version label: `{input}` is replaced by that input's own version."""
        version = self.version
        for name, source in self.inputs.items():
            if f"{{{name}}}" in version:
                version = version.replace(f"{{{name}}}", source.version())
        return version


def _counts(name: str) -> bool:
    parts = Path(name).parts
    hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return not hidden and parts[-1] != "README.md"


@cache
def _raw() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text())


@dataclass(frozen=True)
class BaseSource:
    """The source of the base image: a public one, or Debian packages of a suite."""

    public: str
    suite: str


def base_source() -> BaseSource:
    return BaseSource(**_raw()["base"])


def _folder(name: str, entry: Mapping[str, Any]) -> Path:
    if given := entry.get("folder"):
        return paths.ROOT / str(given)
    return FOLDER / name.replace("-", "_")


@cache
def images() -> dict[str, Image]:
    """All images by name, each after the one it starts from."""
    return {
        name: Image(
            name=name,
            version=entry["version"],
            base=entry.get("from", ""),
            tag=entry.get("tag", ""),
            inputs={
                target: parse(f"images.{name}.inputs.{target}", raw)
                for target, raw in entry.get("inputs", {}).items()
            },
            folder=_folder(name, entry),
            on_demand=entry.get("on_demand", False),
            lab=entry.get("lab", False),
        )
        for name, entry in _raw()["images"].items()
    }


def select(names: Iterable[str] | None, *, lab: bool = True) -> list[Image]:
    """The named images, or all but those on demand; ImageError names what exists.

    `lab`: whether those of the lab are among all.
    """
    if names is None:
        every = images().values()
        return [one for one in every if not one.on_demand and (lab or not one.lab)]
    wanted = list(names)
    if unknown := [name for name in wanted if name not in images()]:
        raise ImageError(
            f"no image {', '.join(unknown)} in {TABLE}; it has {', '.join(images())}"
        )
    return [images()[name] for name in wanted]
