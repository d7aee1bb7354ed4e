"""Node pools of three kinds, distinguished by `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.nodes.system_pool import SystemPool

NodePool = Annotated[
    SystemPool | ReservedPool | ElasticPool, Field(discriminator="kind")
]
"""A pool of any kind."""
