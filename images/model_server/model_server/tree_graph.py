"""The tree ensemble of an ONNX graph, if the graph is that and nothing else.

A graph qualifies whose one node that computes is a TreeEnsembleClassifier or
TreeEnsembleRegressor of ai.onnx.ml: exporters put Identity and a Cast to the datatype
that is there already beside it. The numbers of the fields are those of onnx.proto
(https://github.com/onnx/onnx/blob/v1.23.0/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_server.onnx_files import BYTES, FIXED32, VARINT, Field, fields, varint

MOST_FILE_BYTES = 8 * 2**20
MOST_FIELDS = 1_000_000
"""Most fields of the file: 64-leaf trees that fit into the tables have fewer. Reading
takes a second."""

CLASSIFIER, REGRESSOR = "TreeEnsembleClassifier", "TreeEnsembleRegressor"
FLOAT, INT64 = 1, 7
"""Values of onnx.proto's TensorProto.DataType."""

Value = int | float | bytes | list[bytes] | NDArray[np.int64] | NDArray[np.float32]
Attributes = Mapping[str, Value]

_GRAPH, _FUNCTIONS = 7, 25
_NODE = 1
_NODE_INPUT, _NODE_OUTPUT, _OP_TYPE, _ATTRIBUTE, _DOMAIN = 1, 2, 4, 5, 7
_NAME, _FLOAT, _INT, _STRING, _FLOATS, _INTS, _STRINGS = 1, 2, 3, 4, 7, 8, 9
_DESCRIPTION, _TYPE = 13, 20
_SIGN = 2**63
_MOST_OUTPUTS = {CLASSIFIER: 2, REGRESSOR: 1}


class NotTreesError(Exception):
    """onnxruntime has to evaluate this model; the text says why."""


@dataclass(frozen=True)
class TreeNode:
    """The node with the trees, and which of its outputs each output of the graph is."""

    kind: str
    attributes: Attributes
    outputs: Mapping[str, int]


@dataclass
class _Node:
    kind: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Value] = field(default_factory=dict)

    @property
    def is_trees(self) -> bool:
        return self.domain == "ai.onnx.ml" and self.kind in {CLASSIFIER, REGRESSOR}


def read_tree_node(file: Path, source: str) -> TreeNode:
    """Return the trees of an ONNX file that take the graph's input `source`.

    Raises `NotTreesError` where the file is anything else, or too large, or broken.
    """
    size = file.stat().st_size
    if size > MOST_FILE_BYTES:
        raise NotTreesError(f"the graph has {size} bytes, {MOST_FILE_BYTES} at most")
    try:
        return _found(_Reader(file.read_bytes()).nodes(), source)
    except (ValueError, OverflowError) as error:
        raise NotTreesError(f"the graph cannot be read: {error}") from error


def _found(nodes: list[_Node], source: str) -> TreeNode:
    trees = [node for node in nodes if node.is_trees]
    if len(trees) != 1:
        kinds = ", ".join(sorted({node.kind for node in nodes})[:5]) or "no node"
        raise NotTreesError(f"the graph is not a single tree ensemble, it has {kinds}")
    (tree,) = trees
    # Meaning of each value of the graph: the input, or an output of the trees.
    known: dict[str, int] = {source: -1}
    for node in nodes:
        if node is tree:
            if len(node.inputs) != 1 or known.get(node.inputs[0]) != -1:
                raise NotTreesError("the trees take another value than the input")
            if len(node.outputs) > _MOST_OUTPUTS[node.kind]:
                raise NotTreesError(f"the trees have {len(node.outputs)} outputs")
            found = dict(zip(node.outputs, range(len(node.outputs)), strict=True))
        else:
            found = _same(node, known, tree.kind)
        if found.keys() & known.keys():
            raise NotTreesError("a value of the graph is computed twice")
        known |= found
    del known[source]
    return TreeNode(tree.kind, tree.attributes, known)


def _same(node: _Node, known: Mapping[str, int], kind: str) -> dict[str, int]:
    """Return the output of a node that passes its input on unchanged."""
    is_single = len(node.inputs) == len(node.outputs) == 1 and not node.domain
    place = known.get(node.inputs[0]) if is_single else None
    if place is not None:
        is_label = kind == CLASSIFIER and place == 0
        there = INT64 if is_label else FLOAT
        to = node.attributes.get("to")
        if node.kind == "Identity" or (node.kind == "Cast" and to == there):
            return {node.outputs[0]: place}
    raise NotTreesError(f"the graph has another node beside the trees: {node.kind}")


class _Reader:
    """Walks an ONNX file; raises `ValueError` or `NotTreesError`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left = MOST_FIELDS

    def nodes(self) -> list[_Node]:
        found: list[_Node] = []
        for number, kind, begin, stop in self._fields(0, len(self._content)):
            if number == _FUNCTIONS:
                raise NotTreesError("the graph has functions of its own")
            if number == _GRAPH and kind == BYTES:
                found += self._nodes(begin, stop)
        return found

    def _nodes(self, start: int, end: int) -> Iterator[_Node]:
        for number, kind, begin, stop in self._fields(start, end):
            if number == _NODE and kind == BYTES:
                yield self._node(begin, stop)

    def _node(self, start: int, end: int) -> _Node:
        node = _Node()
        for number, kind, begin, stop in self._fields(start, end):
            if kind != BYTES:
                continue
            if number == _ATTRIBUTE:
                name, value = self._attribute(begin, stop)
                if name in node.attributes:
                    raise NotTreesError(f"the attribute {name[:64]!r} appears twice")
                node.attributes[name] = value
            elif number == _NODE_INPUT:
                node.inputs.append(self._text(begin, stop))
            elif number == _NODE_OUTPUT:
                node.outputs.append(self._text(begin, stop))
            elif number == _OP_TYPE:
                node.kind = self._text(begin, stop)
            elif number == _DOMAIN:
                node.domain = self._text(begin, stop)
        return node

    def _attribute(self, start: int, end: int) -> tuple[str, Value]:
        name = ""
        found: dict[int, list[Field]] = {}
        for item in self._fields(start, end):
            if item[0] == _NAME and item[1] == BYTES:
                name = self._text(*item[2:])
            elif item[0] not in {_TYPE, _DESCRIPTION}:
                found.setdefault(item[0], []).append(item)
        if len(found) != 1:
            raise NotTreesError(f"the attribute {name[:64]!r} has {len(found)} values")
        ((number, items),) = found.items()
        return name, self._value(number, items)

    def _value(self, number: int, items: list[Field]) -> Value:
        kinds = {kind for _, kind, _, _ in items}
        parts = [self._content[begin:stop] for _, _, begin, stop in items]
        if number == _INTS and kinds <= {VARINT, BYTES}:
            numbers = [value for item in items for value in self._numbers(item)]
            return np.array(numbers, np.int64)
        if number == _INT and kinds == {VARINT}:
            return next(self._numbers(items[-1]))
        if number == _FLOATS and kinds <= {FIXED32, BYTES}:
            return np.frombuffer(b"".join(parts), "<f4")
        if number == _FLOAT and kinds == {FIXED32}:
            return float(np.frombuffer(parts[-1], "<f4")[0])
        if number in {_STRINGS, _STRING} and kinds == {BYTES}:
            return parts if number == _STRINGS else parts[-1]
        raise NotTreesError("an attribute is a tensor or a graph")

    def _numbers(self, item: Field) -> Iterator[int]:
        """Give the numbers of a field, which is one or many packed together."""
        _, _, position, stop = item
        while position < stop:
            value, position = varint(self._content, position, stop)
            self._count()
            yield value - 2 * _SIGN if value >= _SIGN else value

    def _text(self, start: int, end: int) -> str:
        return self._content[start:end].decode()

    def _fields(self, start: int, end: int) -> Iterator[Field]:
        for item in fields(self._content, start, end):
            self._count()
            yield item

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise NotTreesError(f"the graph has more than {MOST_FIELDS} values")
