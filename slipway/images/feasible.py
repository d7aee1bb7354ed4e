"""Finds images that this machine cannot build, before any build."""

from __future__ import annotations

from collections.abc import Iterable

from slipway.images.builds import Means
from slipway.images.errors import ImageError
from slipway.images.table import BASE, Image, images


def check(chosen: Iterable[Image], means: Means) -> None:
    """Raises ImageError that names each image that cannot be made, and the others."""
    wanted = list(chosen)
    found = {one.name: _obstacles(one) for one in wanted if one.name != BASE}
    if means.asked_base == "debian":
        # A base that is pulled needs none of its inputs.
        found[BASE] = _obstacles(images()[BASE])
    stopped = {name: reasons for name, reasons in found.items() if reasons}
    if not stopped:
        return
    lines = [f"  {name}: {'; '.join(reasons)}" for name, reasons in stopped.items()]
    count = f"{len(stopped)} image{'s' if len(stopped) > 1 else ''}"
    head = f"{count} cannot be made on this machine, nothing was touched:"
    others = [image.name for image in wanted if image.name not in stopped]
    last = ["Give --base public to start from a public image."] * (BASE in stopped)
    if others and BASE not in stopped:
        last += [f"To do the others, name them: {' '.join(others)}"]
    raise ImageError("\n".join([head, *lines, *last]))


def _obstacles(image: Image) -> list[str]:
    found = [source.obstacle() for source in image.inputs.values()]
    return [reason for reason in dict.fromkeys(found) if reason]
