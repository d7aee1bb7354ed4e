"""Machine images of nodes, pinned in amis.lock.yaml."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from components.setting_problems import nearest
from components.yaml_text import read

LOCK = Path(__file__).with_name("amis.lock.yaml")
Accelerator = Literal["none", "nvidia", "neuron"]


class UnknownAmiError(LookupError):
    """The lock has no such image, or none for the Kubernetes version."""

    def __init__(self, reason: str, fix: str) -> None:
        self.reason = reason
        self.fix = fix
        super().__init__(f"{reason}; {fix}")


@dataclass(frozen=True)
class Ami:
    """One variant of a release."""

    key: str
    ami_type: str
    """EKS's name of the variant, for managed node groups."""
    architecture: Literal["x86_64", "arm64"]
    accelerator: Accelerator
    driver: str | None = None
    """Version of the accelerator's kernel module, if it has one."""


@dataclass(frozen=True)
class AmiLock:
    """A release of Amazon's EKS AMIs."""

    source: str
    released: date
    read: date
    """When the release notes were read."""
    tag: str
    release_versions: Mapping[str, str]
    images: Mapping[str, Ami]

    @property
    def alias(self) -> str:
        """Return an EC2NodeClass' selector of the images."""
        return f"al2023@{self.tag}"

    def image(self, key: str) -> Ami:
        """The variant of this key; UnknownAmiError."""
        if key not in self.images:
            meant = nearest(key, self.images)
            hint = f"did you mean {meant}? " if meant else ""
            raise UnknownAmiError(
                f"{LOCK.name} has no such image",
                f"{hint}give one of: {', '.join(self.images)}",
            )
        return self.images[key]

    def release_version(self, version: str) -> str:
        """A managed node group's release of Kubernetes 1.x; UnknownAmiError."""
        if version not in self.release_versions:
            raise UnknownAmiError(
                f"{LOCK.name} has no release for Kubernetes {version}",
                f"it has {', '.join(self.release_versions)}: choose one of these, or "
                "add the release to the lock",
            )
        return self.release_versions[version]


@functools.cache
def lock() -> AmiLock:
    """The lock of this checkout."""
    raw = read(LOCK.read_text(), LOCK.name)
    images = {key: Ami(key=key, **image) for key, image in raw.pop("images").items()}
    return AmiLock(**raw, images=images)


def key_for(architecture: str, accelerator: Accelerator) -> str:
    """The key of the image for nodes of this kind."""
    suffix = "" if accelerator == "none" else f"-{accelerator}"
    return f"al2023-{architecture}{suffix}"
