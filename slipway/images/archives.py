"""Images as files, for hosts that take them without a registry."""

from __future__ import annotations

from pathlib import Path

from lab.settings import REGISTRY_NAME
from slipway.images.builders import BUILDAH
from slipway.images.builds import built
from slipway.images.errors import ImageError, Report, silent
from slipway.images.table import select
from toolchain import paths, whole_files

REGISTRY_PORT = 5000
HOST_IMAGES = ("pause",)
"""What a node needs before it can pull anything: the pods' sandbox."""


def export_archive(name: str, path: Path, report: Report = silent) -> bool:
    """Writes an image as a docker-archive, tagged as the cluster names it.

    Returns False where the file holds that image already. The image needs a `tag` in
    images.toml.
    """
    (image,) = select([name])
    if not image.tag:
        raise ImageError(f"{name}: an archive needs a tag in images/images.toml")
    record = built(name, report)
    marker = path.with_name(path.name + ".id")
    said = f"{record.id} {image.tag}\n"
    if path.is_file() and marker.is_file() and marker.read_text() == said:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    tag = f"{REGISTRY_NAME}:{REGISTRY_PORT}/{image.repository}:{image.tag}"
    with whole_files.made(path) as part:
        BUILDAH.save(record.id, part, tag)
    marker.write_text(said)
    return True


def host_archives(report: Report = silent) -> list[Path]:
    """Archives that hosts import when they are configured; in the cache folder."""
    folder = paths.cache() / "host-images"
    for name in HOST_IMAGES:
        export_archive(name, folder / f"{name}.tar", report)
    return [folder / f"{name}.tar" for name in HOST_IMAGES]
