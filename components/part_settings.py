"""Settings of a part that a cluster may already have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components import images
from components.setting_types import Whole
from components.settings import Problem, Settings

Port = Annotated[Whole, Field(ge=1, le=65535)]
NodePort = Annotated[Whole | None, Field(ge=30000, le=32767)]
"""A port on every node, or none; the range is what API servers give by default."""


class PartSettings(Settings):
    """A part with its bring-your-own switch and its image."""

    enabled: bool = True
    """False where the cluster has its own."""
    image: str
    """Short name of images.lock, or a full reference by digest."""

    @property
    def image_reference(self) -> str:
        """The image by digest."""
        return images.resolve(self.image)

    def contradictions(self) -> Iterator[Problem]:
        # Only of a part that will be made: who brings their own needs no image.
        if self.enabled:
            yield from image_problems("image", self.image)


def image_problems(path: str, image: str) -> Iterator[Problem]:
    """Report problems of an image's name."""
    try:
        images.resolve(image)
    except images.ImageError as error:
        yield Problem(path=path, value=image, reason=error.reason, fix=error.fix)
