"""Folders as images in the lab's registry: models and training data of tests."""

from __future__ import annotations

from pathlib import Path

from slipway.images.builders import Order
from slipway.images.builds import OF_THE_LAB
from slipway.images.registry import Registry


def push(name: str, folder: Path) -> str:
    """Push an image with the folder's files at its root; the cluster's reference."""
    builder, registry = OF_THE_LAB.builder, Registry.of_lab()
    containerfile = folder.parent / "Containerfile"
    containerfile.write_text(f"FROM scratch\nCOPY {folder.name} /\n")
    image = builder.build(Order(name, name, folder.parent, {}), lambda _step: None)
    target = f"{registry.host}/slipway/{name}:test"
    digest = builder.push(image, target, plain_http=registry.is_plain)
    return f"{registry.cluster_host}/slipway/{name}@{digest}"
