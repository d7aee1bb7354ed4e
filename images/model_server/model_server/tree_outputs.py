"""Outputs of a tree ensemble from the sums of its leaves: weights, classes, transforms.

These are the cases in which onnxruntime 1.32 follows the standard, and that exporters
write. `Output` has the numbers of `enum output` in tree_masks.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from model_server.tree_ensemble import Trees, floats, numbers
from model_server.tree_graph import CLASSIFIER, NotTreesError, TreeNode

MOST_TARGETS = 256
LARGEST_SUM = 1e30
"""Maximum of a row's weights: FP32 ends at 3.4e38, and larger values are not
numbers."""

_NODES = {
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_values",
    "nodes_hitrates",
    "nodes_modes",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
    "base_values",
    "post_transform",
}
_WEIGHTS = ("treeids", "nodeids", "ids", "weights")
_OF_CLASSES = {f"class_{name}" for name in _WEIGHTS} | {
    "classlabels_int64s",
    "classlabels_strings",
}
_OF_TARGETS = {f"target_{name}" for name in _WEIGHTS} | {
    "n_targets",
    "aggregate_function",
}


class Output(IntEnum):
    """How the scores follow from the sums; see tree_masks.c."""

    TARGETS = 0
    COMPLEMENT = 1
    OPPOSITE = 2
    OPPOSITE_LOGISTIC = 3
    CLASSES = 4
    CLASSES_LOGISTIC = 5
    CLASSES_SOFTMAX = 6


@dataclass(frozen=True)
class Weights:
    """The leaves' weights, a value for each target, and what their sums become."""

    output: Output
    leaves: NDArray[np.float32]
    """[trees][most leaves of a tree][targets]"""
    bases: NDArray[np.float32]
    divisor: float
    labels: NDArray[np.int64]
    """By class; the index itself if `texts` has the labels; empty for a regression."""
    texts: list[str]


def read_weights(node: TreeNode, trees: Trees) -> Weights:
    """Return the weights of a node's trees, or raise `NotTreesError`."""
    is_classifier = node.kind == CLASSIFIER
    known = _NODES | (_OF_CLASSES if is_classifier else _OF_TARGETS)
    if unknown := sorted(node.attributes.keys() - known):
        raise NotTreesError(f"the trees have the attribute {unknown[0][:64]!r}")
    found = _of_classes(node, trees) if is_classifier else _of_targets(node, trees)
    largest = np.abs(found.leaves, dtype=np.float64).max(axis=(1, 2)).sum()
    if largest + np.abs(found.bases, dtype=np.float64).max() > LARGEST_SUM:
        raise NotTreesError("the weights are too large to be added up")
    return found


def _of_targets(node: TreeNode, trees: Trees) -> Weights:
    targets = node.attributes.get("n_targets", 0)
    if not isinstance(targets, int) or not 1 <= targets <= MOST_TARGETS:
        raise NotTreesError(f"{targets!r} targets, 1 to {MOST_TARGETS} can be")
    aggregate = node.attributes.get("aggregate_function", b"SUM")
    if aggregate not in {b"SUM", b"AVERAGE"} or _transform(node) != b"NONE":
        raise NotTreesError(f"the sums become {aggregate!r} and {_transform(node)!r}")
    leaves, has = _leaves(node, trees, "target", targets)
    bases = _bases(node, targets)
    # onnxruntime gives 0 and not the base where no leaf has spoken of a target.
    if bases.any() and not _always_speak(has):
        raise NotTreesError("a target has a base, and no tree of its own")
    return Weights(
        Output.TARGETS,
        leaves,
        bases,
        float(trees.count) if aggregate == b"AVERAGE" else 1.0,
        np.zeros(0, np.int64),
        [],
    )


def _of_classes(node: TreeNode, trees: Trees) -> Weights:
    labels, texts = _labels(node)
    is_two = len(labels) == 2
    leaves, has = _leaves(node, trees, "class", 1 if is_two else len(labels))
    bases = _bases(node, leaves.shape[2])
    if is_two:
        output = _output_of_two(node, leaves)
    else:
        # onnxruntime leaves a class out of the comparison that no leaf has spoken of.
        if "base_values" not in node.attributes and not _always_speak(has):
            raise NotTreesError("a class has neither a base nor a tree of its own")
        output = _output_of_classes(node)
    return Weights(output, leaves, bases, 1.0, labels, texts)


def _always_speak(has: NDArray[np.bool_]) -> bool:
    """Tell whether each target has a tree whose every leaf has a weight of it."""
    return bool(has.all(axis=1).any(axis=0).all())


def _labels(node: TreeNode) -> tuple[NDArray[np.int64], list[str]]:
    labels = np.array(numbers(node.attributes, "classlabels_int64s"), np.int64)
    texts = node.attributes.get("classlabels_strings", [])
    if not isinstance(texts, list) or (len(labels) and texts):
        raise NotTreesError("the classes have labels of two kinds")
    if texts:
        labels = np.arange(len(texts), dtype=np.int64)
    if not 2 <= len(labels) <= MOST_TARGETS:
        raise NotTreesError(f"{len(labels)} classes, 2 to {MOST_TARGETS} can be")
    try:
        return labels, [text.decode() for text in texts]
    except UnicodeDecodeError as error:
        raise NotTreesError("a label is not text") from error


def _output_of_two(node: TreeNode, leaves: NDArray[np.float32]) -> Output:
    """Return what becomes of the one sum of two classes.

    onnxruntime takes weights of which none is negative for probabilities.
    """
    if (leaves >= 0).all():
        return _known({b"NONE": Output.COMPLEMENT}, node)
    known = {b"LOGISTIC": Output.OPPOSITE_LOGISTIC, b"NONE": Output.OPPOSITE}
    return _known(known, node)


def _output_of_classes(node: TreeNode) -> Output:
    known = {
        b"NONE": Output.CLASSES,
        b"LOGISTIC": Output.CLASSES_LOGISTIC,
        b"SOFTMAX": Output.CLASSES_SOFTMAX,
    }
    return _known(known, node)


def _known(known: dict[bytes, Output], node: TreeNode) -> Output:
    transform = _transform(node)
    if transform not in known:
        raise NotTreesError(f"the post_transform {transform[:32]!r}")
    return known[transform]


def _transform(node: TreeNode) -> bytes:
    found = node.attributes.get("post_transform", b"NONE")
    if not isinstance(found, bytes):
        raise NotTreesError("post_transform is of another kind than ONNX has it")
    return found


def _bases(node: TreeNode, targets: int) -> NDArray[np.float32]:
    found = floats(node.attributes, "base_values")
    if len(found) not in {0, targets}:
        raise NotTreesError(f"{len(found)} base_values for {targets} sums")
    return found if len(found) else np.zeros(targets, np.float32)


def _leaves(
    node: TreeNode, trees: Trees, what: str, targets: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the weights by tree, leaf and target, and which of them there are.

    A leaf that is not in its tree counts as one that has all.
    """
    treeids, nodeids, ids = [
        numbers(node.attributes, f"{what}_{name}") for name in _WEIGHTS[:3]
    ]
    weights = floats(node.attributes, f"{what}_weights")
    if len({len(treeids), len(nodeids), len(ids), len(weights)}) != 1:
        raise NotTreesError(f"the attributes {what}_* differ in length")
    shape = (trees.count, trees.most_leaves, targets)
    leaves, has = np.zeros(shape, np.float32), np.ones(shape, np.bool_)
    for place in trees.leaves.values():
        has[place] = False
    for tree, leaf, target, weight in zip(treeids, nodeids, ids, weights, strict=True):
        where = trees.leaves.get((tree, leaf))
        if where is None or not 0 <= target < targets:
            raise NotTreesError(f"a weight of {what} {target} at node {tree}.{leaf}")
        if has[where][target]:
            raise NotTreesError(f"two weights of {what} {target} at {tree}.{leaf}")
        has[where][target] = True
        leaves[where][target] = weight
    if not has.any(axis=2).all():
        raise NotTreesError("a leaf has no weight")
    return leaves, has
