"""One input or output of a model, as model.yaml and the graph have it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from model_server.datatypes import DATATYPES

FREE = -1
LARGEST_SIZE = 4096
"""Most of a free dimension where model.yaml has no `max_shape`. A bound there must be:
attention takes memory by the square of its tokens, and a body of 1 MiB holds 131,072.
"""


@dataclass(frozen=True)
class Tensor:
    """One input or output: name, protocol datatype, shape with -1 where it is free.

    The first dimension is the batch. `max_shape` has the most of each free dimension of
    an input after it. `dimensions` are the graph's names of the free ones ("" where it
    has none); those of one name have one size in a request. `missing_values`: NaN is a
    value like others, null in JSON.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    missing_values: bool = False
    max_shape: tuple[int, ...] = ()
    dimensions: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool:
        """Return whether a row's shape differs from request to request."""
        return FREE in self.shape[1:]

    @property
    def is_fixed(self) -> bool:
        """Return whether every row takes the same number of bytes."""
        return not self.is_free and DATATYPES[self.datatype].is_packed

    @property
    def width(self) -> int:
        """Values of a row; only where its shape is fixed."""
        return math.prod(self.shape[1:])

    def most(self, axis: int) -> int:
        """Return the most of a dimension after the first."""
        size = self.shape[axis]
        if size != FREE:
            return size
        return self.max_shape[axis] if self.max_shape else LARGEST_SIZE

    def metadata(self) -> dict[str, object]:
        """Return the protocol's metadata; settings stand in its `parameters`."""
        found: dict[str, object] = {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
        }
        parameters: dict[str, object] = {}
        if self.missing_values:
            parameters["missing_values"] = True
        if self.max_shape:
            parameters["max_shape"] = list(self.max_shape)
        if parameters:
            found["parameters"] = parameters
        return found
