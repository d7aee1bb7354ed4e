"""Checks of answers: infinite values, and NaN where it is not allowed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model_server.errors import RequestError
from model_server.outputs import Array, Outputs
from model_server.protocol import Inference
from model_server.tensor import Tensor


def refuse_non_finite(
    tensors: Sequence[Tensor],
    asked: Sequence[Inference],
    results: list[Outputs | RequestError],
) -> None:
    """Turn the answers of which an output that is asked for is at fault into errors.

    `tensors` are the model's outputs and `asked` the requests, as `results` are.
    """
    everything = range(len(tensors))
    for number, (inference, result) in enumerate(zip(asked, results, strict=True)):
        if isinstance(result, RequestError):
            continue
        arrays = result.arrays
        for index in inference.wanted or everything:
            tensor = tensors[index]
            if not _is_fine(arrays[index], tensor):
                what = "infinite" if tensor.missing_values else "not finite"
                results[number] = RequestError(
                    500,
                    "model_failed",
                    f"the model gave a value that is {what}, in its output "
                    f"{tensor.name}",
                )
                break


def _is_fine(array: Array, tensor: Tensor) -> bool:
    if array.dtype.kind != "f":
        return True
    if tensor.missing_values:
        return not bool(np.isinf(array).any())
    return bool(np.isfinite(array).all())
