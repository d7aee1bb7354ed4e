"""Builds the images whose inputs have changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slipway.images import contained_packages, contents, records
from slipway.images.builders import BUILDAH, Builder, BuilderError, Order
from slipway.images.errors import ImageError, Report, silent
from slipway.images.inputs import Input, place
from slipway.images.records import Record
from slipway.images.table import BASE, Image, base_source, images, select
from toolchain.digests import sha256_of
from toolchain.errors import OperatorError
from toolchain.locks import locked

BASE_VARIABLE = "SLIPWAY_BASE_IMAGE"
"""`debian`, `public`, or a reference of your own. Unset: public; with buildah public
where a registry answers, else debian."""

PULL_SECONDS = 600.0
PROBE_SECONDS = 20.0
FORMAT = "1"
"""Part of every key; raise it when the way of building changes the result."""


@dataclass(frozen=True)
class Means:
    """The builder and the base of images."""

    builder: Builder = BUILDAH
    base: str = ""
    """Same as `BASE_VARIABLE`, which it overrides."""

    @property
    def asked_base(self) -> str:
        """The base that was asked for; empty: public if a registry answers."""
        default = "" if self.builder is BUILDAH else "public"
        return self.base or os.environ.get(BASE_VARIABLE, "") or default

    @property
    def lock(self) -> Path:
        """One process at a time uses the builder's records."""
        return self.builder.home / "lock"


OF_THE_LAB = Means()


def key(image: Image, base_key: str) -> str:
    """Digest of what decides an image: its files, inputs, version and base."""
    files = {
        name: [sha256_of(path), os.access(path, os.X_OK)]
        for name, path in image.files().items()
    }
    inputs = {name: source.identity() for name, source in image.inputs.items()}
    words = [FORMAT, files, inputs, image.version, base_key]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def context(image: Image, folder: Path) -> Path:
    """Writes the folder that the image is built from: its files and its inputs.

    Every builder takes the same folder (build arguments BASE and VERSION).
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, source in image.inputs.items():
        place(source.make(), folder / name)
    for name, path in image.files().items():
        # Copied: an editor that writes in place must not reach into a build.
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / name)
    return folder


def base_reference(means: Means) -> str:
    """The reference that the base was pulled by; empty if it was built."""
    known = records.read(means.builder).get(BASE)
    asked = means.asked_base
    reference = asked if asked not in ("", "debian", "public") else base_source().public
    return reference if known and known.key == _reference_key(reference) else ""


def _reference_key(reference: str) -> str:
    return hashlib.sha256(reference.encode()).hexdigest()


def _base_from_registry(means: Means, report: Report) -> Record | None:
    """The base by reference, if one is asked for or a registry answers."""
    asked = means.asked_base
    if asked == "debian":
        return None
    reference = asked if asked not in ("", "public") else base_source().public
    key = _reference_key(reference)
    known = records.read(means.builder).get(BASE)
    if known and (known.key == key or not asked):
        return known if known.key == key else None
    report(BASE, f"asking a registry for {reference}")
    seconds = PULL_SECONDS if asked else PROBE_SECONDS
    try:
        return Record(key, means.builder.pull(reference, key, seconds))
    except BuilderError as error:
        if not asked:
            return None
        raise ImageError(
            f"base: {reference} could not be pulled; check the reference and the way "
            "to its registry, or give --base debian, which builds it from Debian "
            f"packages (needs mmdebstrap): {error}"
        ) from error


def _make(image: Image, means: Means, report: Report) -> bool:
    """Build one image; False if it existed already."""
    known = records.read(means.builder)
    if image.name == BASE and (found := _base_from_registry(means, report)):
        if known.get(BASE) != found:
            records.keep(means.builder, BASE, found)
        contents.write(image, means.builder, base_reference(means))
        return known.get(BASE) != found
    base, old = known.get(image.base), known.get(image.name)
    wanted = key(image, base.key if base else "")
    if old and old.key == wanted:
        return False
    start = time.monotonic()
    report(image.name, "collecting inputs")
    folder = context(image, means.builder.home / "context" / image.name)
    arguments = {"VERSION": image.label_version()}
    if base:
        arguments["BASE"] = base.id
    order = Order(image.name, wanted, folder, arguments)
    identity = means.builder.build(order, lambda text: report(image.name, text))
    shutil.rmtree(folder, ignore_errors=True)
    digest = old.digest if old and old.id == identity else ""
    records.keep(means.builder, image.name, Record(wanted, identity, digest))
    report(image.name, "listing what is in it")
    contents.write(image, means.builder, base_reference(means))
    report(image.name, f"built in {time.monotonic() - start:.1f} s")
    return True


def build(
    names: Iterable[str] | None = None,
    report: Report = silent,
    means: Means = OF_THE_LAB,
) -> list[str]:
    """Builds the named images, or all, where their inputs changed; names of the built.

    What they start from is built with them. Raises ImageError.
    """
    chosen = _with_bases(select(names))
    made = []
    if wanted := contained_packages.wanted(chosen):
        made += _build_one(images()[BASE], means, report)
        base = records.read(means.builder)[BASE]
        contained_packages.fetch(wanted, means.builder, base.id, report)
    for image in chosen:
        made += _build_one(image, means, report)
    return made


def _build_one(image: Image, means: Means, report: Report) -> list[str]:
    """The image's name if it was built."""
    if not _stands(image, means):
        # A program may take minutes: others must not wait for the storage so long.
        for name, source in image.inputs.items():
            report(image.name, f"making {name}")
            _make_input(image, source)
    with locked(means.lock):
        return [image.name] if _make(image, means, report) else []


def _make_input(image: Image, source: Input) -> None:
    """Makes an input; an error of another part names the image too."""
    try:
        source.make()
    except ImageError:
        raise
    except OperatorError as error:
        raise ImageError(f"{image.name}: {error}") from error


def _with_bases(chosen: Iterable[Image]) -> list[Image]:
    """The images, each after what it starts from."""
    ordered: list[Image] = []
    for image in chosen:
        chain = [image]
        while chain[0].base:
            chain.insert(0, images()[chain[0].base])
        ordered += [link for link in chain if link not in ordered]
    return ordered


def _stands(image: Image, means: Means) -> bool:
    """True if the storage has the image as it would be built now, or a pulled base."""
    if image.name == BASE:
        # The decision about pulling the base is made under the lock.
        return True
    known = records.read(means.builder)
    one, base = known.get(image.name), known.get(image.base)
    return one is not None and one.key == key(image, base.key if base else "")


def bill_of_materials(name: str, means: Means = OF_THE_LAB) -> Path:
    """The CycloneDX document of a built image; ImageError if it is not built."""
    with locked(means.lock):
        return contents.write(images()[name], means.builder, base_reference(means))


def built(name: str, report: Report = silent, means: Means = OF_THE_LAB) -> Record:
    """The record of an image, built first if it is not."""
    build([name], report, means)
    return records.read(means.builder)[name]
