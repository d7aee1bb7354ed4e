"""Parts of Triton's settings: tensors and the dynamic batcher."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.setting_types import Whole
from components.settings import Settings, refuse


def _size(value: int) -> int:
    if value == 0:
        refuse(
            "a tensor with a dimension of 0 holds no value, and Triton does not load "
            "the model",
            "give its size, or -1 where it varies",
        )
    return value


Size = Annotated[Whole, Field(ge=-1), AfterValidator(_size)]
"""Of a dimension; -1 where it varies."""


class Tensor(Settings):
    """An input or an output of a model."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """Its name in the model."""
    datatype: Literal[
        "BOOL",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "FP16",
        "FP32",
        "FP64",
        "STRING",
        "BF16",
    ]
    """Its elements' type."""
    dims: Annotated[tuple[Size, ...], Field(min_length=1)]
    """Its shape without the batch dimension; -1 where it varies."""


class DynamicBatching(Settings):
    """Triton's dynamic batcher."""

    preferred_rows: tuple[Annotated[Whole, Field(ge=1)], ...] = ()
    """Preferred batch sizes; empty: as large as possible."""
    wait_microseconds: Annotated[Whole, Field(ge=0, le=1_000_000)] = 0
    """How long the first request may wait for others, in microseconds."""
    max_waiting_requests: Annotated[Whole, Field(ge=1, le=65_536)] = 256
    """Maximum number of waiting requests; more are rejected."""
    max_wait_milliseconds: Annotated[Whole, Field(ge=0, le=3_600_000)] = 0
    """Longest wait before a request is refused, in milliseconds; 0: no limit."""
