"""Free dimensions of one name: in a request they have one size."""

from __future__ import annotations

from collections.abc import Sequence

from model_server.buffers import Buffer
from model_server.errors import invalid
from model_server.tensor import Tensor


class Dimensions:
    """The named free dimensions of a model's inputs, after the first."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._named = [
            (position, tensor.name, axis, name)
            for position, tensor in enumerate(tensors)
            for axis, name in enumerate(tensor.dimensions)
            if axis and name
        ]

    def check(self, buffers: Sequence[Buffer]) -> None:
        """Raise `RequestError` where two of one name differ; buffers are in order.

        onnxruntime would fail within the run, in the words of an operator.
        """
        seen: dict[str, tuple[int, str]] = {}
        for position, tensor, axis, name in self._named:
            buffer = buffers[position]
            if isinstance(buffer, bytes):  # of a fixed shape
                continue
            size = buffer.shape[axis]
            other, where = seen.setdefault(name, (size, tensor))
            if size != other:
                raise invalid(
                    "inputs",
                    f"{tensor} has the size {size} in dimension {axis}, {where} has "
                    f"{other} there; the graph calls both {name}: one size for both",
                )
