"""Rows made up for a model of which nothing but the inputs' datatypes is known.

Two kinds: calm ones as most features are, and loud ones, a thousand times larger. One
loud row reveals a model that scales values over the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.bfloat16 import from_floats
from model_server.buffers import Buffer, zeros
from model_server.datatypes import BFLOAT16, DATATYPES, Datatype
from model_server.manifest import Manifest
from model_server.named_rows import Row, different
from model_server.tensor import Tensor

ROWS = 4
"""Rows of each kind."""
LEAST = 2
LOUDNESS = 1000.0
WORDS = ("a", "b c", "yes", "No", "x1", "", "rather long, with a comma", "ß")
_SEED = 20261128


@dataclass(frozen=True)
class _Span:
    """Values to try: whole numbers below `whole`, fractions of a kind."""

    whole: int
    fractions: str


_SPANS = (
    _Span(1000, "any"),
    _Span(100, "any"),
    _Span(10, "any"),
    _Span(4, "any"),
    _Span(2, "any"),
    _Span(2, "positive"),
    _Span(10, "whole"),
    _Span(2, "whole"),
)
"""From wide to narrow: a model that looks up ids in a table accepts those it has."""


def ordinary_rows(manifest: Manifest) -> Iterator[list[Row]]:
    """Give lists of different rows, each list of narrower values than the last."""
    for span in _SPANS:
        source = np.random.default_rng(_SEED)
        yield different(
            [_row(manifest, span, 1.0, number, source) for number in range(ROWS)]
        )


def large_rows(manifest: Manifest) -> list[Row]:
    """Return rows of large numbers; none if no input holds fractions."""
    if not any(DATATYPES[it.datatype].is_floating for it in manifest.inputs):
        return []
    source = np.random.default_rng(_SEED + 1)
    span = _Span(2, "any")
    return different(
        [_row(manifest, span, LOUDNESS, number, source) for number in range(ROWS)]
    )


def _row(
    manifest: Manifest,
    span: _Span,
    loudness: float,
    number: int,
    source: np.random.Generator,
) -> Row:
    return [
        _values(tensor, span, loudness, number, source) for tensor in manifest.inputs
    ]


def _values(
    tensor: Tensor,
    span: _Span,
    loudness: float,
    number: int,
    source: np.random.Generator,
) -> Buffer:
    datatype = DATATYPES[tensor.datatype]
    empty = zeros(tensor, 1)
    shape = tensor.shape[1:] if isinstance(empty, bytes) else empty.shape[1:]
    values: NDArray[Any]
    if not datatype.is_packed:
        values = _texts(span, shape, source)
    elif datatype.is_floating:
        values = loudness * _fractions(span, shape, number, source)
        if tensor.datatype == BFLOAT16:
            values = from_floats(values)
    else:
        values = source.integers(0, _most(datatype, span), shape)
    array = np.asarray(values).astype(datatype.dtype).reshape([1, *shape])
    return array.tobytes() if isinstance(empty, bytes) else array


def _most(datatype: Datatype, span: _Span) -> int:
    if datatype.code == "?":
        return 2
    return min(span.whole, 100) if datatype.dtype.itemsize == 1 else span.whole


def _texts(
    span: _Span, shape: Sequence[int], source: np.random.Generator
) -> NDArray[Any]:
    if span.fractions == "whole":  # a model may take numbers in words
        return source.integers(0, span.whole, shape).astype(str).astype(object)
    return source.choice(np.array(WORDS, object), shape)


def _fractions(
    span: _Span, shape: Sequence[int], number: int, source: np.random.Generator
) -> NDArray[Any]:
    if span.fractions == "whole":
        return source.integers(0, span.whole, shape).astype(float)
    # Every second row is positive: a model may take a logarithm or a root.
    if span.fractions == "positive" or number % 2:
        return source.uniform(0.05, 1.0, shape)
    return source.normal(size=shape)
