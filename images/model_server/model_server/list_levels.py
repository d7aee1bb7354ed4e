"""Whether nested lists that are read in blocks have a regular shape."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from model_server.errors import RequestError, invalid
from model_server.long_list import Block


class Levels:
    """The sizes of lists, for each depth of a shape; errors are reported at the end.

    `shape` has one size where the values must be a flat list.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = shape
        depths = len(shape)
        self._open = [0] * depths
        self._wrong: list[set[int]] = [set() for _ in shape]
        self._not_lists = depths
        """The first depth at which a value is not a list."""

    @property
    def size(self) -> int:
        """Number of values in the outer list so far."""
        return self._open[0]

    def flat(self, block: Block) -> list[Any]:
        """Return the block's values as a flat list; none where they are not nested."""
        level: list[Any] = [block.values]
        for depth, size in enumerate(self._shape):
            if depth and set(map(type, level)) != {list}:
                self._not_lists = min(self._not_lists, depth)
                return []
            self._count(level, depth, size, block)
            level = list(itertools.chain.from_iterable(level))
        # A value that was begun in an earlier block, and so is a list.
        return level[1:] if block.depth > len(self._shape) else level

    def _count(
        self, level: list[list[Any]], depth: int, size: int, block: Block
    ) -> None:
        sizes = list(map(len, level))
        if block.depth > depth:
            sizes[0] += self._open[depth] - (block.depth > depth + 1)
        if block.depth_after > depth:
            self._open[depth] = sizes.pop()
        self._wrong[depth].update(sizes)
        self._wrong[depth].discard(size)

    def check(self, path: str) -> None:
        """Raise `RequestError` unless all lists are of the shape."""
        shape = list(self._shape)
        if self._open[0] != shape[0]:
            self._wrong[0].add(self._open[0])
        for depth, (size, wrong) in enumerate(zip(shape, self._wrong, strict=True)):
            if depth >= self._not_lists:
                raise not_nested(path, shape)
            if wrong:
                raise wrong_size(path, shape, depth, wrong, size)


def not_nested(path: str, shape: list[int]) -> RequestError:
    return invalid(path, f"is not nested in the shape {shape}")


def wrong_count(path: str, count: int, shape: list[int]) -> RequestError:
    return invalid(path, f"{count} values, the shape {shape} holds {math.prod(shape)}")


def wrong_size(
    path: str, shape: list[int], depth: int, wrong: set[int], size: int
) -> RequestError:
    return invalid(
        path,
        f"a list of {min(wrong)} at depth {depth + 1}, the shape {shape} has {size}",
    )
