"""Node pools for cluster services, and checks of their settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.cluster.nodes import node_capacity, pool_checks
from components.cluster.nodes.node_pool_base import SizedPool
from components.cluster.nodes.pool_checks import Problems, known_types
from components.setting_types import Whole
from components.settings import Problem


class SystemPool(SizedPool):
    """A managed group without accelerators, for what every cluster runs."""

    kind: Literal["system"]
    """A managed node group for cluster services; it has no taint."""
    min_nodes: Annotated[Whole, Field(ge=1, le=450)] = 2
    """Nodes that are always there: Karpenter itself runs on them."""
    max_nodes: Annotated[Whole, Field(ge=1, le=450)] = 4
    """Maximum number of nodes, including those of a running update."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        yield from pool_checks.problems(self)
        yield from accelerators(self)


def accelerators(pool: SystemPool) -> Problems:
    """Report types with accelerators: expensive, and system pools have no taint."""
    for t in known_types(pool):
        if has := node_capacity.accelerator(t):
            yield Problem(
                "instance_types",
                t.name,
                f"it has {has}, which cluster services do not use",
                "give a type without accelerators, or make the pool's kind reserved or "
                "elastic",
            )
