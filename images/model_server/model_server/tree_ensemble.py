"""The trees of a TreeEnsembleClassifier or -Regressor, checked node by node.

The meaning of the attributes is that of ai.onnx.ml version 3
(https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html). Everything
that the tables of `tree_tables` cannot hold, or that is not a tree, is refused with
`NotTreesError`: a cycle, a node with two parents, a leaf without weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.tree_graph import Attributes, NotTreesError

MOST_TREES = 4096
MOST_LEAVES = 64
"""Maximum leaves of a tree: the bits of a word."""

MODES = {
    b"BRANCH_LEQ": np.less_equal,
    b"BRANCH_LT": np.less,
    b"BRANCH_GTE": np.greater_equal,
    b"BRANCH_GT": np.greater,
    b"BRANCH_EQ": np.equal,
    b"BRANCH_NEQ": np.not_equal,
}
LEAF = b"LEAF"

_LISTS = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")


@dataclass(frozen=True)
class Branch:
    """A node that decides; `on_true` and `on_false` are the leaves that it leads to."""

    tree: int
    column: int
    mode: bytes
    threshold: np.float32
    missing_is_true: bool
    on_true: int
    on_false: int


@dataclass
class Trees:
    """All trees: their branches, and the number of each leaf in its tree."""

    count: int = 0
    branches: list[Branch] = field(default_factory=list)
    leaves: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """Tree and leaf by `treeid` and `nodeid`."""
    most_leaves: int = 0


@dataclass(frozen=True)
class _Nodes:
    """The attributes `nodes_*`: one entry a node."""

    treeids: list[int]
    nodeids: list[int]
    featureids: list[int]
    truenodeids: list[int]
    falsenodeids: list[int]
    values: NDArray[np.float32]
    modes: list[bytes]
    missing: list[int]


def read_trees(attributes: Attributes, columns: int) -> Trees:
    """Return the trees over rows of so many columns."""
    nodes = _nodes(attributes)
    by_tree: dict[int, dict[int, int]] = {}
    for place, (tree, node) in enumerate(
        zip(nodes.treeids, nodes.nodeids, strict=True)
    ):
        if by_tree.setdefault(tree, {}).setdefault(node, place) != place:
            raise NotTreesError(f"tree {tree} has two nodes {node}")
    if not 0 < len(by_tree) <= MOST_TREES:
        raise NotTreesError(f"{len(by_tree)} trees, {MOST_TREES} at most")
    found = Trees()
    for identity, places in by_tree.items():
        _Tree(identity, places, nodes, columns, found).read()
    return found


def _nodes(attributes: Attributes) -> _Nodes:
    lists = {name: numbers(attributes, f"nodes_{name}") for name in _LISTS}
    values = floats(attributes, "nodes_values")
    modes = attributes.get("nodes_modes")
    count = len(values)
    missing_name = "nodes_missing_value_tracks_true"
    missing = numbers(attributes, missing_name) or [0] * count
    lengths = {len(it) for it in (*lists.values(), missing)}
    if not isinstance(modes, list) or lengths | {len(modes)} != {count}:
        raise NotTreesError("the attributes of the nodes differ in length")
    return _Nodes(**lists, values=values, modes=modes, missing=missing)


def numbers(attributes: Attributes, name: str) -> list[int]:
    """Return a list of whole numbers; empty if there is none of the name."""
    found: list[int] = _listed(attributes, name, np.int64).tolist()
    return found


def floats(attributes: Attributes, name: str) -> NDArray[np.float32]:
    """Return a list of numbers, all finite; empty if there is none of the name."""
    found: NDArray[np.float32] = _listed(attributes, name, np.float32)
    if not np.isfinite(found).all():
        raise NotTreesError(f"{name} has a value that is not finite")
    return found


def _listed(attributes: Attributes, name: str, dtype: Any) -> NDArray[Any]:
    value = attributes.get(name)
    if value is None:
        return np.zeros(0, dtype)
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        raise NotTreesError(f"{name} is of another kind than ONNX has it")
    return value


class _Tree:
    """Reads one tree into `Trees`."""

    def __init__(
        self,
        identity: int,
        places: dict[int, int],
        nodes: _Nodes,
        columns: int,
        found: Trees,
    ) -> None:
        self._identity, self._places = identity, places
        self._nodes, self._columns, self._found = nodes, columns, found
        self._leaves = 0

    def read(self) -> None:
        if len(self._places) >= 2 * MOST_LEAVES:  # so no path is longer either
            raise NotTreesError(
                f"tree {self._identity} has more than {MOST_LEAVES} leaves"
            )
        places = self._places.values()
        children = [node for place in places for node in self._children(place)]
        roots = self._places.keys() - children
        # So each other node exists and has one parent.
        if len(roots) != 1 or len(children) != len(self._places) - 1:
            raise NotTreesError(f"tree {self._identity} is not a tree")
        self._visit(roots.pop())
        # Those that were not visited form a circle, off which leaves hang.
        if self._leaves != sum(self._is_leaf(place) for place in places):
            raise NotTreesError(f"tree {self._identity} is not a tree")
        self._found.count += 1
        self._found.most_leaves = max(self._found.most_leaves, self._leaves)

    def _is_leaf(self, place: int) -> bool:
        return self._nodes.modes[place] == LEAF

    def _children(self, place: int) -> Iterator[int]:
        if not self._is_leaf(place):
            yield self._nodes.truenodeids[place]
            yield self._nodes.falsenodeids[place]

    def _visit(self, node: int) -> int:
        """Number the leaves below a node from left to right; return their bits."""
        place = self._places[node]
        if self._is_leaf(place):
            leaf, self._leaves = self._leaves, self._leaves + 1
            self._found.leaves[self._identity, node] = self._found.count, leaf
            return 1 << leaf
        on_true, on_false = [self._visit(child) for child in self._children(place)]
        self._found.branches.append(self._branch(place, on_true, on_false))
        return on_true | on_false

    def _branch(self, place: int, on_true: int, on_false: int) -> Branch:
        nodes = self._nodes
        column, mode = nodes.featureids[place], nodes.modes[place]
        if mode not in MODES:
            raise NotTreesError(f"a node of the mode {mode[:32]!r}")
        if not 0 <= column < self._columns:
            raise NotTreesError(f"a node asks for column {column}")
        missing = nodes.missing[place] == 1
        value = nodes.values[place]
        return Branch(
            self._found.count, column, mode, value, missing, on_true, on_false
        )
