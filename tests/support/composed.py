"""Compose projects of stacks, with images of the tests' own."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from components.images import LOCK_VARIABLE
from slipway.compose.composition import FILE, Composition
from slipway.compose.objects import Objects
from slipway.compose.stack import translated
from slipway.rendering.render import render
from tests.support import rendered as r
from toolchain import builds

LAB = "models.lab"


@contextmanager
def locked(images: Mapping[str, str]) -> Iterator[None]:
    """These images in the place of images.lock."""
    before = os.environ.get(LOCK_VARIABLE)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "images.lock"
        file.write_text(json.dumps(dict(images)))
        os.environ[LOCK_VARIABLE] = str(file)
        try:
            yield
        finally:
            os.environ.pop(LOCK_VARIABLE)
            if before is not None:
                os.environ[LOCK_VARIABLE] = before


@functools.cache
def objects(stack: str) -> Objects:
    """What a stack would give to a cluster."""
    return Objects.of(render(stack, images=r.IMAGES).manifests)


@functools.cache
def composed(*, monitoring: bool = False) -> Composition:
    """What `slipway compose models.lab` writes."""
    with locked(r.IMAGES):
        return translated(
            LAB,
            objects(LAB),
            objects("platform.lab"),
            publish_monitoring=monitoring,
        )


@functools.cache
def files() -> dict[str, str]:
    with locked(r.IMAGES):
        return composed().all_files()


def project() -> dict[str, Any]:
    """compose.yaml as Compose reads it."""
    content: dict[str, Any] = yaml.safe_load(files()[FILE])
    return content


def image_names() -> list[str]:
    """Short names of all images of the project."""
    names = {reference: name for name, reference in r.IMAGES.items()}
    return sorted({names[s["image"]] for s in project()["services"].values()})


def schema() -> dict[str, Any]:
    """The schema of compose.yaml of the version that Compose is built with."""
    group = builds.group("compose-spec")
    builds.build(group)
    found: dict[str, Any] = json.loads(
        (group.folder / "files" / "compose-spec.json").read_text()
    )
    return found
