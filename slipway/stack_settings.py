"""A stack's settings as its program gets them, without running the program."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from components.cluster.existing.cluster_access import ClusterAccess
from components.settings import Problem, Settings, SettingsError
from stacks import config, layers

Model = TypeVar("Model", bound=Settings)


def load(stack: str, model: type[Model], root: Path | None = None) -> Model:
    """The settings in the stack's file; SettingsError with every problem at once.

    `model`: the class of the layer that the command works on.
    """
    return config.of_stack(stack, model, root)


def cluster(stack: str, root: Path | None = None) -> ClusterAccess:
    """Return the cluster of the stack, by its file; SettingsError as in `load`."""
    layer = layers.of(stack)
    if not layer.in_cluster:
        problem = Problem(
            path="STACK",
            value=stack,
            reason=f"stacks of the layer {layer.name} do not run in a cluster",
            fix=f"give one of the layer {' or '.join(layers.IN_CLUSTER)}",
        )
        raise SettingsError("the command line", [problem])
    found = config.of_stack(stack, layer.settings, root)
    # Each layer that works in a cluster has it.
    access: ClusterAccess = found.cluster  # type: ignore[attr-defined]
    return access
