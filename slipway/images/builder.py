"""Builds the images whose inputs have changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from slipway.images import buildah, records
from slipway.images.errors import ImageError, Report, silent
from slipway.images.inputs import place
from slipway.images.records import Record
from slipway.images.table import BASE, Image, base_source, images, select
from toolchain.locks import locked

BASE_VARIABLE = "SLIPWAY_BASE_IMAGE"
"""`debian`, `public`, or a reference of your own; unset: public where a registry
answers, else debian."""

PULL_SECONDS = 60.0
PROBE_SECONDS = 20.0
FORMAT = "1"
"""Part of every key; raise it when the way of building changes the result."""


def key(image: Image, base_key: str) -> str:
    """Digest of what decides an image: its files, inputs, version and base."""
    files = {
        name: [hashlib.sha256(path.read_bytes()).hexdigest(), os.access(path, os.X_OK)]
        for name, path in image.files().items()
    }
    inputs = {name: source.identity() for name, source in image.inputs.items()}
    words = [FORMAT, files, inputs, image.version, base_key]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def context(image: Image, folder: Path) -> Path:
    """Writes the folder that the image is built from: its files and its inputs.

    `docker build` takes the same folder (build arguments BASE and VERSION).
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, source in image.inputs.items():
        place(source.make(), folder / name)
    for name, path in image.files().items():
        # Copied: an editor that writes in place must not reach into a build.
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / name)
    return folder


def _base_from_registry(report: Report) -> Record | None:
    """The base by reference, if one is asked for or a registry answers."""
    asked = os.environ.get(BASE_VARIABLE, "")
    if asked == "debian":
        return None
    reference = asked if asked not in ("", "public") else base_source().public
    key = hashlib.sha256(reference.encode()).hexdigest()
    known = records.read().get(BASE)
    if known and (known.key == key or not asked):
        return known if known.key == key else None
    report(BASE, f"asking a registry for {reference}")
    image_id = buildah.pull(reference, PULL_SECONDS if asked else PROBE_SECONDS)
    if image_id:
        return Record(key, image_id)
    if asked:
        raise ImageError(
            f"base: {reference} could not be pulled ({BASE_VARIABLE}={asked}); "
            f"check the reference, or set {BASE_VARIABLE}=debian to build it here"
        )
    return None


def _base(image: Image) -> Record | None:
    """The record of what an image starts from, if that is an image and it stands."""
    return records.read().get(image.base) if image.base else None


def _make(image: Image, report: Report) -> bool:
    """Builds one image; False if it stood already."""
    base, known = _base(image), records.read().get(image.name)
    if image.name == BASE and (found := _base_from_registry(report)):
        if known != found:
            records.keep(BASE, found)
        return known != found
    wanted = key(image, base.key if base else "")
    if known and known.key == wanted:
        return False
    start = time.monotonic()
    report(image.name, "collecting inputs")
    folder = context(image, buildah.home() / "context" / image.name)
    arguments = {"VERSION": image.label_version()}
    if base:
        arguments["BASE"] = base.id
    identity = buildah.build(
        folder, arguments, image.name, lambda text: report(image.name, text)
    )
    shutil.rmtree(folder, ignore_errors=True)
    digest = known.digest if known and known.id == identity else ""
    records.keep(image.name, Record(wanted, identity, digest))
    report(image.name, f"built in {time.monotonic() - start:.1f} s")
    return True


def build(names: Iterable[str] | None = None, report: Report = silent) -> list[str]:
    """Builds the named images, or all, where their inputs changed; names of the built.

    What they start from is built with them. Raises ImageError.
    """
    chosen = _with_bases(select(names))
    built = []
    for image in chosen:
        if not _stands(image):
            # A program may take minutes: others must not wait for the storage so long.
            for name, source in image.inputs.items():
                report(image.name, f"making {name}")
                source.make()
        with locked(buildah.home() / "lock"):
            if _make(image, report):
                built.append(image.name)
    return built


def _with_bases(chosen: Iterable[Image]) -> list[Image]:
    """The images, each after what it starts from."""
    ordered: list[Image] = []
    for image in chosen:
        chain = [image]
        while chain[0].base:
            chain.insert(0, images()[chain[0].base])
        ordered += [link for link in chain if link not in ordered]
    return ordered


def _stands(image: Image) -> bool:
    """True if the storage has the image as it would be built now, or a pulled base."""
    if image.name == BASE:
        # Whether the base is pulled is decided under the lock.
        return True
    known, base = records.read().get(image.name), _base(image)
    return known is not None and known.key == key(image, base.key if base else "")


def built(name: str, report: Report = silent) -> Record:
    """The record of an image, built first if it is not."""
    build([name], report)
    return records.read()[name]
