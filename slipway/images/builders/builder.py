"""The interface of programs that build images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slipway.images.errors import ImageError

Say = Callable[[str], None]
"""Receives each step of a build."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Go's name of an architecture, by the kernel's."""


class BuilderError(ImageError):
    """A builder cannot be used or did not do what was asked; the text says why."""


@dataclass(frozen=True)
class About:
    """A builder that works."""

    version: str
    architecture: str
    """Architecture of the images that it builds, by its name in Go."""


@dataclass(frozen=True)
class Order:
    """One image to build."""

    name: str
    key: str
    """Digest of all that decides the image."""
    context: Path
    """Folder with the Containerfile and all that it copies."""
    arguments: Mapping[str, str]
    """Build arguments by name."""

    @property
    def containerfile(self) -> Path:
        return self.context / "Containerfile"

    def options(self) -> list[str]:
        """The options of a build that all builders have."""
        words = [f"{name}={value}" for name, value in self.arguments.items()]
        given = [option for word in words for option in ("--build-arg", word)]
        return [*given, "--file", str(self.containerfile)]


class Builder(Protocol):
    """Builds images into a storage of its own and gets them out of it.

    An image is known by its id: what the builder's own commands, and FROM, take for it.
    All methods raise BuilderError with the program's last lines if it fails.
    """

    @property
    def name(self) -> str:
        """Name of the program."""

    @property
    def home(self) -> Path:
        """Folder in the cache for the records and contexts of this builder's images."""

    def about(self) -> About:
        """Version and architecture; BuilderError if the program does not work."""

    def held(self) -> frozenset[str]:
        """Ids of all images in the storage."""

    def build(self, order: Order, say: Say) -> str:
        """Builds an image; its id."""

    def pull(self, reference: str, key: str, timeout_seconds: float) -> str:
        """Pulls a public image as the base with that key; its id."""

    def push(self, image_id: str, target: str, *, plain_http: bool) -> str:
        """Pushes an image to host/path:tag; the digest of its manifest there."""

    def save(self, image_id: str, file: Path) -> None:
        """Writes an image as a docker-archive."""

    def output(self, image_id: str, command: Sequence[str], target: Path) -> None:
        """Runs a command as root in an image; its standard output goes to a file."""
