"""The programs that build, push and save images: Docker, Podman, buildah.

builders.choose("auto", print)     the first that works here
builders.BUILDAH                   what the lab uses
"""

from slipway.images.builders.buildah import Buildah
from slipway.images.builders.builder import About, Builder, BuilderError, Order
from slipway.images.builders.docker import Docker
from slipway.images.builders.podman import Podman
from slipway.images.builders.selection import AUTO, BUILDAH, BUILDERS, choose

__all__ = [
    "AUTO",
    "BUILDAH",
    "BUILDERS",
    "About",
    "Builder",
    "BuilderError",
    "Buildah",
    "Docker",
    "Order",
    "Podman",
    "choose",
]
