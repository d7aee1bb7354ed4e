"""The layer `platform`, rendered once for all that only look at it."""

from __future__ import annotations

import functools
from typing import Any

from slipway.rendering.render import Rendered, render
from tests.support.rendered import IMAGES


@functools.cache
def lab() -> Rendered:
    """The stack platform.lab as its file has it."""
    return render("platform.lab", images=IMAGES)


def rendered(**config: Any) -> Rendered:
    """The layer with this configuration."""
    return render("platform.test", config=config, images=IMAGES)


def only(found: Rendered, kind: str, name: str) -> dict[str, Any]:
    """The only object of this kind and name."""
    objects = [
        m
        for m in found.manifests
        if m["kind"] == kind and m["metadata"]["name"] == name
    ]
    assert len(objects) == 1, f"{len(objects)} of {kind} {name}"
    return objects[0]


def pods(found: Rendered) -> dict[str, dict[str, Any]]:
    """Pod templates by the name of what makes them."""
    return {
        m["metadata"]["name"]: m["spec"]["template"]
        for m in found.manifests
        if m["kind"] in ("Deployment", "StatefulSet", "Job", "DaemonSet")
    }
