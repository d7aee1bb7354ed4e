"""The layers: what a stack `<layer>.<environment>` is made of, in one table.

Each has a name, the class of its settings, and the program that declares its
resources. The classes and programs are loaded when they are asked for.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolchain.errors import WrongInputError

if TYPE_CHECKING:
    from components.settings import Settings

Program = Callable[[], None]
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
"""Of what Pulumi takes in a stack's name."""


class UnknownLayerError(WrongInputError, ValueError):
    """A stack's name does not begin with a layer."""


@dataclass(frozen=True)
class Layer:
    """A kind of stack."""

    name: str
    settings_name: str
    """`module:class` of its settings."""
    program_name: str
    """`module:function` that declares its resources."""
    in_cluster: bool = True
    """Whether its resources are in the cluster and are deleted with it."""
    members: str = ""
    """The setting, if any, whose members the program can declare in groups
    (`stacks.groups`)."""
    equal: Mapping[str, str] = field(default_factory=dict)
    """Settings of Pulumi's providers (`namespace:name`) that say what a setting of ours
    says, by the path of ours: a stack file may have them if they agree."""

    @property
    def settings(self) -> type[Settings]:
        """The class of the layer's settings."""
        found: type[Settings] = pkgutil.resolve_name(self.settings_name)
        return found

    @property
    def program(self) -> Program:
        """The function that declares the resources of the running stack."""
        found: Program = pkgutil.resolve_name(self.program_name)
        return found


_OF_ACCOUNT = {
    "aws:region": "account.region",
    "aws:allowedAccountIds": "account.id",
}
_OF_CLUSTER = {
    "kubernetes:context": "cluster.context",
    "kubernetes:kubeconfig": "cluster.kubeconfig",
}
TABLE = (
    Layer(
        name="cluster",
        settings_name="components.cluster.settings:ClusterSettings",
        program_name="stacks.cluster:run",
        in_cluster=False,
        equal=_OF_ACCOUNT,
    ),
    Layer(
        name="platform",
        settings_name="components.platform.settings:PlatformSettings",
        program_name="stacks.platform:run",
        equal=_OF_CLUSTER,
    ),
    Layer(
        name="models",
        settings_name="components.serving.models_settings:ModelsSettings",
        program_name="stacks.models:run",
        members="models",
        equal=_OF_CLUSTER,
    ),
    Layer(
        name="jobs",
        settings_name="components.training.settings:JobsSettings",
        program_name="stacks.jobs:run",
        equal={**_OF_CLUSTER, **_OF_ACCOUNT},
    ),
)
"""In the order in which an environment is created."""

LAYERS = tuple(layer.name for layer in TABLE)
IN_CLUSTER = tuple(layer.name for layer in TABLE if layer.in_cluster)
"""The layers whose resources live in the cluster and are gone with it."""
CLUSTER = "cluster"
"""The layer that makes the cluster itself; an environment may bring its own instead."""
JOBS = "jobs"
"""The layer whose stacks may have resources in AWS beside those in a cluster."""


def split(stack: str) -> tuple[str, str]:
    """Layer and environment of a stack's name.

    UnknownLayerError if it has none, or if the environment has other characters than
    the engine takes: names of stack files stand in reports.
    """
    layer, dot, environment = stack.partition(".")
    if layer not in LAYERS or not dot or not environment:
        raise UnknownLayerError(
            f"{stack!r} is not a stack: a stack is <layer>.<environment>, "
            f"and the layers are {', '.join(LAYERS)}; for example {IN_CLUSTER[0]}.lab"
        )
    if not _ENVIRONMENT.fullmatch(environment):
        raise UnknownLayerError(
            f"stacks/config/Pulumi.{layer}.<environment>.yaml: {environment!r}\n"
            "  reason: the environment in a stack's name is 1 to 80 letters, digits, "
            "'-', '_' and '.', with a letter or digit first\n"
            "  fix: name the stack and its file otherwise"
        )
    return layer, environment


def of(stack: str) -> Layer:
    """The layer of a stack; UnknownLayerError if its name has none."""
    name, _ = split(stack)
    return next(layer for layer in TABLE if layer.name == name)


def program(stack: str) -> Program:
    """The function that declares the stack's resources."""
    return of(stack).program
