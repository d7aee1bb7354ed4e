"""Recipes for a model: tables of its trees, or weights of 8 bits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

EXAMPLE_TOLERANCE = 1e-3
"""Tolerance of a quantized model's examples: sums differ with the processor's
instructions."""
PRODUCTS = ("MatMul", "Gemm")
CONVOLUTION = "Conv"
TYPES = {"DefaultTensorType": onnx.TensorProto.FLOAT}
"""Of tensors behind an operator of ai.onnx.ml, where inference of types stops."""


class NotApplicableError(Exception):
    """A recipe can do nothing with a model; the text says why."""


@dataclass(frozen=True)
class Source:
    """The source of a candidate: a graph, and rows by the input's name."""

    graph: Path
    calibration: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Recipe:
    """How to create a candidate."""

    name: str
    summary: str
    make: Callable[[Source, Path], None]
    """Writes the candidate's graph, or raises NotApplicableError."""
    changes_answers: bool = True
    """Whether results may differ by more than rounding."""


def has_trees(graph: Path) -> bool:
    """Return whether there are trees to convert to tables."""
    return any(it.startswith("TreeEnsemble") for it in _operators(graph))


def _unchanged(source: Source, target: Path) -> None:
    if not has_trees(source.graph):
        raise NotApplicableError("the graph has no trees")
    shutil.copyfile(source.graph, target)


def _dynamic(source: Source, target: Path, *, per_channel: bool) -> None:
    """Weights in int8, activations in uint8 by one scale for the whole run.

    Weights have 7 bits: processors without VNNI would saturate sums of 8 bits and
    answer otherwise than those with it.
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    _require(source.graph, PRODUCTS)
    with _refusals():
        quantize_dynamic(
            source.graph,
            target,
            op_types_to_quantize=list(PRODUCTS),
            per_channel=per_channel,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options=dict(TYPES),
        )
    _refuse_unchanged(source.graph, target)


def _static(source: Source, target: Path) -> None:
    """Weights and activations in int8, by scales that the calibration rows give."""
    kinds = (*PRODUCTS, CONVOLUTION)
    _require(source.graph, kinds)
    with _refusals():
        quantize_static(
            source.graph,
            target,
            _Calibration(source.calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(kinds),
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options=dict(TYPES),
        )
    _refuse_unchanged(source.graph, target)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "tree_masks",
            "trees as tables of bit masks, which the model server makes at its start",
            _unchanged,
            changes_answers=False,
        ),
        Recipe(
            "dynamic_int8",
            "products in int8, scaled run by run",
            lambda source, target: _dynamic(source, target, per_channel=False),
        ),
        Recipe(
            "dynamic_int8_per_channel",
            "products in int8, scaled run by run, weights column by column",
            lambda source, target: _dynamic(source, target, per_channel=True),
        ),
        Recipe(
            "static_int8",
            "products and convolutions in int8, scaled by calibration rows",
            _static,
        ),
    )
}
MASKS = "tree_masks"


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Gives the rows in runs of one size, and then None."""

    def __init__(self, rows: Mapping[str, NDArray[Any]], size: int = 64) -> None:
        count = len(next(iter(rows.values())))
        self._runs = (
            {name: it[start : start + size] for name, it in rows.items()}
            for start in range(0, count, size)
        )

    def get_next(self) -> Mapping[str, NDArray[Any]] | None:
        return next(self._runs, None)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn whatever onnxruntime's quantization raises into NotApplicableError."""
    try:
        yield
    except Exception as error:
        raise NotApplicableError(
            f"onnxruntime's quantization refuses it: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _operators(graph: Path) -> list[str]:
    """Kinds of the graph's nodes; NotApplicableError if it cannot be read."""
    with _refusals():
        model = onnx.load(graph, load_external_data=False)
    return [node.op_type for node in model.graph.node]


def _require(graph: Path, kinds: tuple[str, ...]) -> None:
    if not set(kinds) & set(_operators(graph)):
        raise NotApplicableError(f"the graph has no {' and no '.join(kinds)}")


def _refuse_unchanged(graph: Path, target: Path) -> None:
    """Onnxruntime leaves out in silence what it cannot quantize."""
    if sorted(_operators(graph)) == sorted(_operators(target)):
        raise NotApplicableError("onnxruntime's quantization found nothing to change")
