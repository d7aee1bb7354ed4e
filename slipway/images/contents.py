"""What is in an image: a bill of materials for each, kept beside what was built.

It is made from what went in: packages by images/debian.lock, distributions by the
image's requirements.lock, modules from each Go program's build information, models, and
all that is in the image it starts from. A base that was pulled is asked for its Debian
packages; its other contents are unknown, and its document states that.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from slipway import sbom
from slipway.images import dpkg, records
from slipway.images.builders import Builder, BuilderError
from slipway.images.errors import ImageError
from slipway.images.records import Record
from slipway.images.rootfs import SUITE
from slipway.images.table import BASE, Image, images
from slipway.sbom import Part
from toolchain import whole_files

REQUIREMENTS = "requirements.lock"
INCOMPLETE = "incomplete"
"""The property that says what may be in an image and is not in its document."""
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", re.MULTILINE)


def path(builder: Builder, name: str, record: Record) -> Path:
    """Return the path of a built image's document."""
    return builder.home / "sbom" / f"{name}-{record.key[:16]}.cdx.json"


def write(image: Image, builder: Builder, pulled: str) -> Path:
    """Writes the document of an image that is built, unless it is there.

    `pulled`: the reference of the base if it was pulled, else empty. Raises ImageError
    if the image is not built.
    """
    record = records.read(builder).get(image.name)
    if record is None:
        raise ImageError(
            f"{image.name} is not built with {builder.name}; run `slipway images build "
            f"{image.name}`"
        )
    file = path(builder, image.name, record)
    if not file.is_file():
        for old in file.parent.glob(f"{image.name}-{'?' * 16}.cdx.json"):
            old.unlink()
        file.parent.mkdir(parents=True, exist_ok=True)
        whole_files.write(file, document(image, record, builder, pulled))
    return file


def document(image: Image, record: Record, builder: Builder, pulled: str) -> str:
    """The bill of materials of an image."""
    said = {"key": record.key, "builder": builder.name}
    if pulled and (image.base or image.name == BASE):
        said[INCOMPLETE] = "of the public base only its Debian packages are listed"
    name, version = image.name, image.label_version()
    subject = Part(name, version, kind="container", properties=said)
    return sbom.document(subject, parts(image, builder, pulled))


def parts(image: Image, builder: Builder, pulled: str) -> Iterator[Part]:
    """All that is in an image, with what it starts from."""
    if image.base:
        yield from parts(images()[image.base], builder, pulled)
    if image.name == BASE and pulled:
        yield from _pulled(builder, pulled)
        return
    for source in image.inputs.values():
        yield from source.parts()
    if locked := image.files().get(REQUIREMENTS):
        for name, version in _PIN.findall(locked.read_text()):
            yield Part(name, version, sbom.pypi(name, version))


def _pulled(builder: Builder, reference: str) -> Iterator[Part]:
    """The base that was pulled, and dpkg's list in it."""
    repository, _, digest = reference.partition("@")
    yield Part(repository, digest, sbom.oci(repository, digest), kind="container")
    base = records.read(builder)[BASE]
    with tempfile.TemporaryDirectory(prefix="slipway-sbom-") as folder:
        release, listed = Path(folder) / "release", Path(folder) / "status"
        try:
            builder.output(base.id, ["cat", "/etc/os-release"], release)
        except BuilderError:
            return  # no system with a shell
        suite = _suite(release.read_text())
        if suite:
            builder.output(base.id, ["cat", f"/{dpkg.STATUS}"], listed)
            yield from dpkg.installed(listed.read_text(), suite)


def _suite(release: str) -> str:
    """The suite of Debian that an os-release is of; empty if it is of another system.

    https://www.freedesktop.org/software/systemd/man/latest/os-release.html
    """
    fields = dict(
        line.partition("=")[::2] for line in shlex.split(release, comments=True)
    )
    return fields.get("VERSION_CODENAME", SUITE) if fields.get("ID") == "debian" else ""
