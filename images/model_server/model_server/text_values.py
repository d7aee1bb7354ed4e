"""Texts of a request: from JSON or raw bytes to a buffer."""

from __future__ import annotations

import math

import numpy as np

from model_server.buffers import Buffer
from model_server.errors import invalid
from model_server.texts import unpack_texts
from model_server.wording import kind_of


class TextValues:
    """Reads the values of one input of the datatype BYTES."""

    def from_json(
        self,
        data: list[object],
        rows: int,
        tail: list[int],
        path: str,
        has_booleans: bool,  # noqa: ARG002, as of numbers
    ) -> Buffer:
        """Return the values of a flat list of texts."""
        if set(map(type, data)) != {str}:
            number, value = next(
                (number, value)
                for number, value in enumerate(data)
                if type(value) is not str
            )
            raise invalid(
                f"{path}.data",
                f"value {number} (row by row) is {kind_of(value)}, which BYTES cannot "
                "hold; give texts in quotes",
            )
        return _shaped(data, rows, tail)

    def from_raw(
        self, data: memoryview, rows: int, tail: list[int], path: str
    ) -> Buffer:
        """Return the values of raw bytes in the protocol's form of texts."""
        texts = unpack_texts(data, rows * math.prod(tail), f"{path}.data")
        return _shaped(texts, rows, tail)


def _shaped(texts: list[object] | list[str], rows: int, tail: list[int]) -> Buffer:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape([rows, *tail])
