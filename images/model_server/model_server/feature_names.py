"""The names of a model's features: what the log and its policy call them."""

from __future__ import annotations

from collections.abc import Sequence

from model_server.tensor import Tensor


def feature_names(
    inputs: Sequence[Tensor], features: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return the names of each input's columns, in their order.

    `features` of model.yaml names those of the first input. Of any other they are
    `INPUT[COLUMN]`, or the input's name if it has one column. Free dimensions are one
    feature with a list.
    """
    return [
        tuple(features) if features and not position else _columns(tensor)
        for position, tensor in enumerate(inputs)
    ]


def _columns(tensor: Tensor) -> tuple[str, ...]:
    if tensor.is_free or tensor.width == 1:
        return (tensor.name,)
    return tuple(f"{tensor.name}[{column}]" for column in range(tensor.width))
