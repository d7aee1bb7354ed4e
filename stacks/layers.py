"""The layers: a stack `<layer>.<environment>` is run by the layer's module.

A layer's module has `run()`, which declares the stack's resources.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

CLUSTER = "cluster"
"""The layer that makes the cluster itself; an environment may bring its own instead."""
IN_CLUSTER = ("platform", "models")
"""The layers whose resources live in the cluster and are gone with it."""
LAYERS = (CLUSTER, *IN_CLUSTER)
"""In the order in which an environment is made; `stacks/<layer>.py` holds each."""

Program = Callable[[], None]


class UnknownLayerError(ValueError):
    """A stack's name does not begin with a layer."""


def split(stack: str) -> tuple[str, str]:
    """Layer and environment of a stack's name; UnknownLayerError if it has none."""
    layer, dot, environment = stack.partition(".")
    if layer not in LAYERS or not dot or not environment:
        raise UnknownLayerError(
            f"{stack!r} is not a stack: a stack is <layer>.<environment>, "
            f"and the layers are {', '.join(LAYERS)}; for example {IN_CLUSTER[0]}.lab"
        )
    return layer, environment


def program(stack: str) -> Program:
    """The function that declares the stack's resources."""
    layer, _ = split(stack)
    run: Program = importlib.import_module(f"stacks.{layer}").run
    return run
