"""Bounds of what is read: YAML may come from a change that is being reviewed.

PyYAML's composer on libyaml calls itself for each level, so a deep text would end the
process. Aliases make a short text stand for any number of values.
"""

from __future__ import annotations

import stat
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

DEEPEST = 100
"""Levels of mappings and lists; definitions of Kubernetes' kinds have about 40."""
MOST_BY_ALIASES = 100_000
"""Values that all aliases of a document together may stand for."""
CHARACTERS_OF_A_VALUE = 100
"""A longer text counts as several values: aliases repeat it where JSON is made."""
LARGEST_BYTES = 8 * 2**20
"""Of a file; a thousand models need less than one MiB."""
TOO_DEEP = f"mappings and lists are nested more than {DEEPEST} levels deep"


class BoundsError(yaml.MarkedYAMLError):
    """YAML that is too deep or too large to read; its mark says where."""


class Bounds:
    """The size of one document with all that its aliases stand for."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}
        self._inside: set[int] = set()
        self._written = 0

    def check(self, document: Node) -> None:
        """Raise BoundsError for a document that is out of bounds."""
        self._measure(document)

    def _measure(self, node: Node) -> tuple[int, int]:
        """Return the node's number of values and of levels."""
        if id(node) in self._inside:
            raise refused(node, "it contains itself, by an alias")
        if id(node) not in self._known:
            if isinstance(node, ScalarNode):
                values = 1 + len(node.value) // CHARACTERS_OF_A_VALUE
                self._written += values
                self._known[id(node)] = values, 0
            else:
                self._written += 1
                self._inside.add(id(node))
                self._known[id(node)] = self._of_parts(node)
                self._inside.remove(id(node))
        return self._known[id(node)]

    def _of_parts(self, node: Node) -> tuple[int, int]:
        values, levels = 1, 0
        pairs = isinstance(node, MappingNode)
        for part in (
            (one for pair in node.value for one in pair) if pairs else node.value
        ):
            its_values, its_levels = self._measure(part)
            values, levels = values + its_values, max(levels, its_levels)
        if levels >= DEEPEST:
            raise refused(node, TOO_DEEP)
        if values > self._written + MOST_BY_ALIASES:
            reason = f"its aliases stand for more than {MOST_BY_ALIASES} values"
            raise refused(node, reason)
        return values, levels + 1


def refused(node: Node, reason: str) -> BoundsError:
    """Return the error that says where."""
    return BoundsError(problem=reason, problem_mark=node.start_mark)


def text_of(file: Path) -> str:
    """The text of a file in UTF-8; OSError if it cannot be read.

    ValueError for what is too large, and for a pipe or a device, which may never end.
    """
    facts = file.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError(f"{file}: it is not a regular file")
    if facts.st_size > LARGEST_BYTES:
        raise ValueError(
            f"{file}: it has {facts.st_size} bytes, and {LARGEST_BYTES} is the most"
        )
    return file.read_text()
