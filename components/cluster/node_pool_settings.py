"""Node pools of three kinds, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.cluster.elastic_pool import ElasticPool
from components.cluster.reserved_pool import ReservedPool
from components.cluster.system_pool import SystemPool

NodePool = Annotated[
    SystemPool | ReservedPool | ElasticPool, Field(discriminator="kind")
]
"""A pool of any kind."""
